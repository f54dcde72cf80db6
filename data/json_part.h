// A value of a JSON file that knows where it stands, so that whoever does not understand it can say
// which part that is.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>

#include "kernels/core/error.h"

namespace longhaul::data {

class JsonPart {
 public:
  using Json = nlohmann::json;

  /// `value` must outlive this; `file` is for messages.
  JsonPart(const Json& value, std::string file) : value_(value), file_(std::move(file)) {}

  template <class... Parts>
  [[noreturn]] void refuse(const Parts&... what) const {
    throw core::InputError(core::message(file_, ": ", path_.empty() ? "" : path_ + ": ", what...));
  }

  const Json& json() const { return value_; }
  bool is_null() const { return value_.is_null(); }
  bool has(const char* key) const { return value_.is_object() && value_.contains(key); }
  /// Members that are missing are null.
  JsonPart operator[](const char* key) const {
    static const Json kNull;
    expect(value_.is_object(), "an object");
    const auto found = value_.find(key);
    return {found == value_.end() ? kNull : *found, file_, path_.empty() ? key : path_ + "." + key};
  }
  JsonPart operator[](size_t index) const {
    return {value_[index], file_, path_ + "[" + std::to_string(index) + "]"};
  }
  size_t size() const { return expect(value_.is_array(), "a list"), value_.size(); }

  /// visit(key, part) for each member of an object.
  template <class Visit>
  void each_member(const Visit& visit) const {
    expect(value_.is_object(), "an object");
    for (auto member = value_.begin(); member != value_.end(); ++member)
      visit(member.key(), JsonPart(*member, file_, path_ + "." + member.key()));
  }

  const std::string& text() const {
    expect(value_.is_string(), "a text");
    return value_.get_ref<const std::string&>();
  }
  bool flag() const { return expect(value_.is_boolean(), "true or false"), value_.get<bool>(); }
  bool flag_or(bool missing) const { return is_null() ? missing : flag(); }
  int32_t token() const {
    const bool fits = value_.is_number_unsigned() && value_.get<uint64_t>() <= kMostToken;
    expect(fits, "a token's number");
    return value_.get<int32_t>();
  }
  /// Keys of an object; anything else in it would change the result in a way not known here.
  void allow_only(std::initializer_list<const char*> keys) const {
    expect(value_.is_object(), "an object");
    each_member([&](const std::string& key, const JsonPart&) {
      bool known = false;
      for (const char* allowed : keys) known = known || key == allowed;
      if (!known) refuse("has the key \"", key, "\", which is not understood");
    });
  }
  /// A value that only one content is understood of.
  void require(const Json& only) const {
    if (value_ != only) refuse("is ", shown(), ", which is not supported; expected ", only.dump());
  }
  std::string shown() const {
    const std::string text = value_.dump(-1, ' ', true, Json::error_handler_t::replace);
    return text.size() <= kMostShown ? text : text.substr(0, kMostShown) + "…";
  }

 private:
  static constexpr uint64_t kMostToken = 10'000'000;  // tables are as long as the largest token
  static constexpr size_t kMostShown = 80;

  JsonPart(const Json& value, std::string file, std::string path)
      : value_(value), file_(std::move(file)), path_(std::move(path)) {}
  void expect(bool good, const char* expected) const {
    if (!good) refuse("is ", is_null() ? "missing" : shown(), ", expected ", expected);
  }

  const Json& value_;
  std::string file_, path_;
};

}  // namespace longhaul::data
