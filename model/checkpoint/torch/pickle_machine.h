// The stack machine of the pickle protocols 2 to 5, with values for the few things that it may
// make.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace longhaul::model {

enum class PickleKind : uint8_t {
  kNone,
  kBool,
  kInteger,
  kText,
  kGlobal,  ///< text: "collections.OrderedDict"
  kTuple,
  kList,
  kDict,     ///< items: key, value, key, value, …
  kStorage,  ///< items: the persistent id's
  kTensor,   ///< items: the arguments of _rebuild_tensor_v2
};
const char* name_of(PickleKind kind);

/// Values refer to each other by number, so that depth costs no stack.
using PickleValueId = uint32_t;
struct PickleValue {
  PickleKind kind = PickleKind::kNone;
  int64_t integer = 0;
  std::string_view text;  ///< in the pickle's bytes, or a literal
  std::vector<PickleValueId> items;
};

class PickleMachine {
 public:
  /// `bytes` must outlive the machine; `name` stands for the file in messages.
  PickleMachine(std::string_view bytes, std::string name);

  /// Runs to the end and returns what the pickle is of. Throws InputError.
  PickleValueId run();
  const PickleValue& value(PickleValueId id) const { return values_[id]; }

 private:
  /// Each does what `opcode` says, if it is one of its kind.
  bool constant(uint8_t opcode);
  bool container(uint8_t opcode);
  bool memo(uint8_t opcode);
  bool object(uint8_t opcode);

  template <class T>
  T take();
  std::string_view take_bytes(uint64_t count);
  std::string_view take_line();

  void push(PickleKind kind, int64_t integer = 0, std::string_view text = {});
  PickleValueId pop();
  PickleValue& top_of(PickleKind kind, const char* what);
  /// What has been pushed since the last mark.
  std::vector<PickleValueId> pop_to_mark();
  void push_tuple(std::vector<PickleValueId> items);
  void add_pairs(const std::vector<PickleValueId>& items);
  void push_global(std::string_view module, std::string_view name);
  void push_long();
  void call();
  void build();
  [[noreturn]] void refuse(const std::string& what) const;

  std::string_view bytes_;
  std::string name_;
  uint64_t at_ = 0;         // next byte
  uint64_t opcode_at_ = 0;  // for messages
  std::vector<PickleValue> values_;
  std::vector<PickleValueId> stack_;
  std::vector<size_t> marks_;  // heights of the stack
  std::map<uint64_t, PickleValueId> memo_;
};

}  // namespace longhaul::model
