#include "data/json_part.h"

#include <nlohmann/json.hpp>

#include "data/file_io.h"

namespace longhaul::data {

namespace {
constexpr uint64_t kMostToken = 10'000'000;  // tables are as long as the largest token
constexpr size_t kMostShown = 80;
constexpr int64_t kMostBytes = int64_t{256} << 20;
}  // namespace

void JsonPart::expect(bool good, const char* expected) const {
  if (!good) refuse("is ", is_null() ? "missing" : shown(), ", expected ", expected);
}

bool JsonPart::is_null() const { return value_.is_null(); }
bool JsonPart::is_object() const { return value_.is_object(); }
bool JsonPart::is_array() const { return value_.is_array(); }
bool JsonPart::is_text() const { return value_.is_string(); }
bool JsonPart::has(const char* key) const { return value_.is_object() && value_.contains(key); }

JsonPart JsonPart::operator[](const char* key) const {
  static const Json kNull;
  expect(value_.is_object(), "an object");
  const auto found = value_.find(key);
  return {found == value_.end() ? kNull : *found, file_, path_.empty() ? key : path_ + "." + key};
}

JsonPart JsonPart::operator[](size_t index) const {
  return {value_[index], file_, path_ + "[" + std::to_string(index) + "]"};
}

size_t JsonPart::size() const {
  expect(value_.is_array(), "a list");
  return value_.size();
}

void JsonPart::each_member(const Visit& visit) const {
  expect(value_.is_object(), "an object");
  for (auto member = value_.begin(); member != value_.end(); ++member)
    visit(member.key(), JsonPart(*member, file_, path_ + "." + member.key()));
}

const std::string& JsonPart::text() const {
  expect(value_.is_string(), "a text");
  return value_.get_ref<const std::string&>();
}

bool JsonPart::flag() const {
  expect(value_.is_boolean(), "true or false");
  return value_.get<bool>();
}

int32_t JsonPart::token() const {
  const bool fits = value_.is_number_unsigned() && value_.get<uint64_t>() <= kMostToken;
  expect(fits, "a token's number");
  return value_.get<int32_t>();
}

void JsonPart::allow_only(std::initializer_list<const char*> keys) const {
  each_member([&](const std::string& key, const JsonPart&) {
    bool known = false;
    for (const char* allowed : keys) known = known || key == allowed;
    if (!known) refuse("has the key \"", key, "\", which is not understood");
  });
}

void JsonPart::require_unused() const {
  const bool unused =
      value_.is_null() || (value_.is_number() && value_ == 0) || (is_text() && text().empty());
  if (!unused) refuse("is ", shown(), ", which is not supported; expected null");
}

std::string JsonPart::shown() const {
  const std::string text = value_.dump(-1, ' ', true, Json::error_handler_t::replace);
  return text.size() <= kMostShown ? text : text.substr(0, kMostShown) + "…";
}

JsonFile::JsonFile(const std::filesystem::path& file) : name_(file.string()) {
  auto json = nlohmann::json::parse(core::read_file(file, kMostBytes), nullptr, false);
  if (!json.is_object()) throw core::InputError(core::message(name_, ": is no JSON object"));
  json_ = std::make_unique<const nlohmann::json>(std::move(json));
}
JsonFile::~JsonFile() = default;

}  // namespace longhaul::data
