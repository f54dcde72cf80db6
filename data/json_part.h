// A value of a JSON file that knows where it stands, so that whoever does not understand it can say
// which part that is.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "kernels/core/error.h"

namespace longhaul::data {

class JsonPart {
 public:
  using Json = nlohmann::json;
  using Visit = std::function<void(const std::string& key, const JsonPart& member)>;

  /// `value` must outlive this; `file` is for messages.
  JsonPart(const Json& value, std::string file) : value_(value), file_(std::move(file)) {}

  template <class... Parts>
  [[noreturn]] void refuse(const Parts&... what) const {
    throw core::InputError(core::message(file_, ": ", path_.empty() ? "" : path_ + ": ", what...));
  }

  bool is_null() const;
  bool is_object() const;
  bool is_array() const;
  bool is_text() const;
  bool has(const char* key) const;
  JsonPart operator[](const char* key) const;  ///< members that are missing are null
  JsonPart operator[](size_t index) const;
  size_t size() const;
  void each_member(const Visit& visit) const;  ///< of an object

  const std::string& text() const;
  bool flag() const;
  bool flag_or(bool missing) const { return is_null() ? missing : flag(); }
  int32_t token() const;
  /// Keys of an object; anything else in it would change the result in a way not known here.
  void allow_only(std::initializer_list<const char*> keys) const;
  /// Refuses everything but null, 0 and "": of a feature that is not supported when it is used.
  void require_unused() const;
  std::string shown() const;

 private:
  JsonPart(const Json& value, std::string file, std::string path)
      : value_(value), file_(std::move(file)), path_(std::move(path)) {}
  void expect(bool good, const char* expected) const;

  const Json& value_;
  std::string file_, path_;
};

/// A file of JSON, an object. Throws InputError.
class JsonFile {
 public:
  explicit JsonFile(const std::filesystem::path& file);
  ~JsonFile();
  JsonPart root() const { return {*json_, name_}; }

 private:
  std::string name_;
  std::unique_ptr<const nlohmann::json> json_;
};

}  // namespace longhaul::data
