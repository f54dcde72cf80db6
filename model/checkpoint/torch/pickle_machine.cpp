#include "model/checkpoint/torch/pickle_machine.h"

#include <algorithm>
#include <array>
#include <utility>

#include "kernels/core/error.h"
#include "model/checkpoint/json_reading.h"
#include "model/checkpoint/number_bytes.h"

namespace longhaul::model {

namespace {

using core::message;

constexpr size_t kMostValues = 500'000;  // a model of 64 layers takes some 10,000
constexpr uint64_t kLongestText = 1024;

// Opcodes, as Python's pickletools names them.
enum Opcode : uint8_t {
  kMark = '(',
  kStop = '.',
  kNone = 'N',
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kBinInt = 'J',
  kBinInt1 = 'K',
  kBinInt2 = 'M',
  kLong1 = 0x8a,
  kBinUnicode = 'X',
  kShortBinUnicode = 0x8c,
  kEmptyTuple = ')',
  kTuple = 't',
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kEmptyList = ']',
  kAppend = 'a',
  kAppends = 'e',
  kEmptyDict = '}',
  kSetItem = 's',
  kSetItems = 'u',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kBinGet = 'h',
  kLongBinGet = 'j',
  kMemoize = 0x94,
  kProto = 0x80,
  kFrame = 0x95,
  kGlobal = 'c',
  kStackGlobal = 0x93,
  kReduce = 'R',
  kBuild = 'b',
  kBinPersId = 'Q',
};

// What may be named. Of the storages, those without a type of ours are refused by their name later.
constexpr std::array<std::string_view, 14> kGlobals = {"collections.OrderedDict",
                                                       "torch._utils._rebuild_tensor_v2",
                                                       "torch._utils._rebuild_parameter",
                                                       "torch.FloatStorage",
                                                       "torch.HalfStorage",
                                                       "torch.BFloat16Storage",
                                                       "torch.DoubleStorage",
                                                       "torch.LongStorage",
                                                       "torch.IntStorage",
                                                       "torch.ShortStorage",
                                                       "torch.CharStorage",
                                                       "torch.ByteStorage",
                                                       "torch.BoolStorage",
                                                       "torch.ComplexFloatStorage"};

}  // namespace

const char* name_of(PickleKind kind) {
  constexpr std::array kNames = {"None",    "a truth value", "an integer", "a text",    "a class",
                                 "a tuple", "a list",        "a dict",     "a storage", "a tensor"};
  return kNames[static_cast<size_t>(kind)];
}

PickleMachine::PickleMachine(std::string_view bytes, std::string name)
    : bytes_(bytes), name_(std::move(name)) {}

void PickleMachine::refuse(const std::string& what) const {
  throw core::InputError(message(name_, ": byte ", opcode_at_, " of the pickle: ", what));
}

PickleValueId PickleMachine::run() {
  for (;;) {
    opcode_at_ = at_;
    const auto opcode = take<uint8_t>();
    if (opcode == kStop) {
      const PickleValueId result = pop();
      if (!stack_.empty() || !marks_.empty()) refuse("the end comes before all values are used");
      return result;
    }
    if (!constant(opcode) && !container(opcode) && !memo(opcode) && !object(opcode)) {
      refuse(message("opcode ", int{opcode},
                     " has no place in a saved dictionary of tensors: refused"));
    }
  }
}

bool PickleMachine::constant(uint8_t opcode) {
  switch (opcode) {
    case kNone:
      return push(PickleKind::kNone), true;
    case kNewTrue:
    case kNewFalse:
      return push(PickleKind::kBool, opcode == kNewTrue), true;
    case kBinInt:
      return push(PickleKind::kInteger, take<int32_t>()), true;
    case kBinInt1:
      return push(PickleKind::kInteger, take<uint8_t>()), true;
    case kBinInt2:
      return push(PickleKind::kInteger, take<uint16_t>()), true;
    case kLong1:
      return push_long(), true;
    case kBinUnicode:
    case kShortBinUnicode: {
      const uint64_t length = opcode == kBinUnicode ? take<uint32_t>() : take<uint8_t>();
      if (length > kLongestText) refuse(message("a text of ", length, " bytes"));
      return push(PickleKind::kText, 0, take_bytes(length)), true;
    }
    default:
      return false;
  }
}

bool PickleMachine::container(uint8_t opcode) {
  switch (opcode) {
    case kMark:
      return marks_.push_back(stack_.size()), true;
    case kEmptyTuple:
      return push(PickleKind::kTuple), true;
    case kTuple:
      return push_tuple(pop_to_mark()), true;
    case kTuple1:
    case kTuple2:
    case kTuple3: {
      std::vector<PickleValueId> items(static_cast<size_t>(opcode - kTuple1) + 1);
      for (size_t i = items.size(); i-- > 0;) items[i] = pop();
      return push_tuple(std::move(items)), true;
    }
    case kEmptyList:
      return push(PickleKind::kList), true;
    case kAppend:
    case kAppends: {
      const auto items = opcode == kAppends ? pop_to_mark() : std::vector{pop()};
      auto& list = top_of(PickleKind::kList, "appending").items;
      return list.insert(list.end(), items.begin(), items.end()), true;
    }
    case kEmptyDict:
      return push(PickleKind::kDict), true;
    case kSetItem: {
      const PickleValueId item = pop(), key = pop();
      return add_pairs({key, item}), true;
    }
    case kSetItems:
      return add_pairs(pop_to_mark()), true;
    default:
      return false;
  }
}

bool PickleMachine::memo(uint8_t opcode) {
  switch (opcode) {
    case kBinPut:
    case kLongBinPut:
    case kMemoize: {
      const uint64_t index = opcode == kBinPut       ? take<uint8_t>()
                             : opcode == kLongBinPut ? take<uint32_t>()
                                                     : memo_.size();
      const PickleValueId value = pop();
      stack_.push_back(value);
      if (memo_.size() > kMostValues) refuse(message("more than ", kMostValues, " values"));
      return memo_[index] = value, true;
    }
    case kBinGet:
    case kLongBinGet: {
      const uint64_t index = opcode == kBinGet ? take<uint8_t>() : take<uint32_t>();
      const auto found = memo_.find(index);
      if (found == memo_.end()) refuse(message("there is no value number ", index));
      return stack_.push_back(found->second), true;
    }
    default:
      return false;
  }
}

bool PickleMachine::object(uint8_t opcode) {
  switch (opcode) {
    case kProto: {
      const int protocol = take<uint8_t>();
      if (protocol < 2 || protocol > 5) refuse(message("protocol ", protocol, ", expected 2 to 5"));
      return true;
    }
    case kFrame:
      return take<uint64_t>(), true;
    case kGlobal: {
      const std::string_view module = take_line();
      return push_global(module, take_line()), true;
    }
    case kStackGlobal: {
      const PickleValue name = value(pop()), module = value(pop());
      if (name.kind != PickleKind::kText || module.kind != PickleKind::kText) {
        refuse("a name that is no text");
      }
      return push_global(module.text, name.text), true;
    }
    case kReduce:
      return call(), true;
    case kBuild:
      return build(), true;
    case kBinPersId: {
      const PickleValueId id = pop();
      if (value(id).kind != PickleKind::kTuple || value(id).items.size() != 5) {
        refuse("a persistent id that is no tuple of five");
      }
      push(PickleKind::kStorage);
      auto items = values_[id].items;
      return values_.back().items = std::move(items), true;
    }
    default:
      return false;
  }
}

template <class T>
T PickleMachine::take() {
  return number_at<T>(take_bytes(sizeof(T)), 0);
}

std::string_view PickleMachine::take_bytes(uint64_t count) {
  if (count > bytes_.size() - at_) refuse("the pickle is cut off");
  at_ += count;
  return bytes_.substr(at_ - count, count);
}

std::string_view PickleMachine::take_line() {
  const size_t end = bytes_.find('\n', at_);
  if (end == std::string_view::npos || end - at_ > kLongestText) refuse("a name without end");
  const std::string_view line = bytes_.substr(at_, end - at_);
  at_ = end + 1;
  return line;
}

void PickleMachine::push(PickleKind kind, int64_t integer, std::string_view text) {
  if (values_.size() >= kMostValues) refuse(message("more than ", kMostValues, " values"));
  values_.push_back({.kind = kind, .integer = integer, .text = text, .items = {}});
  stack_.push_back(static_cast<PickleValueId>(values_.size() - 1));
}

PickleValueId PickleMachine::pop() {
  const size_t lowest = marks_.empty() ? 0 : marks_.back();
  if (stack_.size() <= lowest) refuse("a value is missing");
  const PickleValueId id = stack_.back();
  stack_.pop_back();
  return id;
}

PickleValue& PickleMachine::top_of(PickleKind kind, const char* what) {
  const PickleValueId id = pop();
  stack_.push_back(id);
  if (values_[id].kind != kind) {
    refuse(message(what, " to ", name_of(values_[id].kind), ", expected ", name_of(kind)));
  }
  return values_[id];
}

std::vector<PickleValueId> PickleMachine::pop_to_mark() {
  if (marks_.empty()) refuse("a mark is missing");
  const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
  std::vector<PickleValueId> items(begin, stack_.end());
  stack_.erase(begin, stack_.end());
  marks_.pop_back();
  return items;
}

void PickleMachine::push_tuple(std::vector<PickleValueId> items) {
  push(PickleKind::kTuple);
  values_.back().items = std::move(items);
}

void PickleMachine::add_pairs(const std::vector<PickleValueId>& items) {
  if (items.size() % 2 != 0) refuse("a key without a value");
  auto& dict = top_of(PickleKind::kDict, "adding").items;
  dict.insert(dict.end(), items.begin(), items.end());
}

void PickleMachine::push_global(std::string_view module, std::string_view name) {
  const std::string whole = message(module, ".", name);
  const auto* known = std::find(kGlobals.begin(), kGlobals.end(), whole);
  if (known == kGlobals.end()) {
    refuse(message("names ", in_quotes(whole),
                   ", which has no place in a saved dictionary of tensors: refused"));
  }
  push(PickleKind::kGlobal, 0, *known);
}

void PickleMachine::push_long() {
  const std::string_view digits = take_bytes(take<uint8_t>());
  if (digits.size() > 8) refuse(message("an integer of ", digits.size(), " bytes"));
  uint64_t value = 0;
  for (size_t i = digits.size(); i-- > 0;) value = value << 8 | static_cast<uint8_t>(digits[i]);
  const bool is_negative = !digits.empty() && static_cast<int8_t>(digits.back()) < 0;
  if (is_negative && digits.size() < 8) value |= ~uint64_t{0} << (8 * digits.size());
  push(PickleKind::kInteger, static_cast<int64_t>(value));
}

void PickleMachine::call() {
  const PickleValueId arguments = pop(), callee = pop();
  const std::string_view name = value(callee).text;
  if (value(callee).kind != PickleKind::kGlobal || value(arguments).kind != PickleKind::kTuple) {
    refuse(message("calls ", name_of(value(callee).kind)));
  }
  const std::vector<PickleValueId> items = value(arguments).items;
  if (name == "collections.OrderedDict" && items.empty()) {
    push(PickleKind::kDict);
  } else if (name == "torch._utils._rebuild_tensor_v2" &&
             (items.size() == 6 || items.size() == 7)) {
    push(PickleKind::kTensor);
    values_.back().items = items;
  } else if (name == "torch._utils._rebuild_parameter" && items.size() == 3 &&
             value(items[0]).kind == PickleKind::kTensor) {
    stack_.push_back(items[0]);
  } else {
    refuse(message("calls ", name, " with ", items.size(), " arguments, which is not understood"));
  }
}

/// Attributes of the dictionary (_metadata: versions of modules) and of parameters are of no use.
void PickleMachine::build() {
  const PickleValueId state = pop();
  const PickleValueId target = pop();
  stack_.push_back(target);
  const PickleKind kind = value(target).kind;
  const bool is_plain = value(state).kind == PickleKind::kDict;
  if (!is_plain || (kind != PickleKind::kDict && kind != PickleKind::kTensor)) {
    refuse(message("sets attributes of ", name_of(kind), ", which is not understood"));
  }
}

}  // namespace longhaul::model
