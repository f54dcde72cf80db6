#include "model/checkpoint/torch/torch_writer.h"

#include <glog/logging.h>

#include <array>
#include <map>

#include "model/checkpoint/number_bytes.h"
#include "model/checkpoint/torch/zip_writer.h"

namespace longhaul::model {

namespace {

const char* storage_of(StoredType type) {
  switch (type) {
    case StoredType::kF64:
      return "DoubleStorage";
    case StoredType::kF32:
      return "FloatStorage";
    case StoredType::kF16:
      return "HalfStorage";
    case StoredType::kBF16:
      return "BFloat16Storage";
    case StoredType::kI64:
      return "LongStorage";
    case StoredType::kI32:
      return "IntStorage";
  }
  LOG(FATAL) << "no such stored type";
}

/// Pickle's opcodes of protocol 2, in the order in which torch's own files have them.
class PickleText {
 public:
  PickleText() { bytes_ = "\x80\x02"; }

  void op(char opcode) { bytes_ += opcode; }
  void global(const std::string& module, const std::string& name) {
    bytes_ += "c" + module + "\n" + name + "\n";
  }
  void text(const std::string& text) {
    op('X');
    append_number(bytes_, static_cast<uint32_t>(text.size()));
    bytes_ += text;
  }
  void integer(int64_t value) {
    if (value < 256) {
      op('K');
      append_number(bytes_, static_cast<uint8_t>(value));
    } else if (value <= INT32_MAX) {
      op('J');
      append_number(bytes_, static_cast<int32_t>(value));
    } else {
      op('\x8a');
      append_number(bytes_, uint8_t{8});
      append_number(bytes_, value);
    }
  }
  void tuple(const core::Shape& shape) {
    op('(');
    for (int i = 0; i < shape.rank(); ++i) integer(shape[i]);
    op('t');
  }
  void ordered_dict() {
    global("collections", "OrderedDict");
    bytes_ += ")R";
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

core::Shape contiguous_strides(const core::Shape& shape) {
  core::Shape strides = shape;
  int64_t stride = 1;
  for (int i = shape.rank(); i-- > 0;) {
    strides[i] = stride;
    stride *= shape[i];
  }
  return strides;
}

void append_tensor(PickleText& pickle, const std::string& name, const TensorStream& tensor,
                   size_t key) {
  pickle.text(name);
  pickle.global("torch._utils", "_rebuild_tensor_v2");
  pickle.op('(');
  pickle.op('(');
  pickle.text("storage");
  pickle.global("torch", storage_of(tensor.type));
  pickle.text(std::to_string(key));
  pickle.text("cpu");
  pickle.integer(tensor.shape.elements());
  pickle.op('t');
  pickle.op('Q');
  pickle.integer(0);  // offset
  pickle.tuple(tensor.shape);
  pickle.tuple(contiguous_strides(tensor.shape));
  pickle.op('\x89');  // requires_grad: False
  pickle.ordered_dict();
  pickle.op('t');
  pickle.op('R');
}

std::string pickle_of(const std::vector<TensorStream>& tensors,
                      const std::vector<SharedName>& shared) {
  std::map<std::string, size_t> keys;
  PickleText pickle;
  pickle.ordered_dict();
  pickle.op('(');
  for (size_t i = 0; i < tensors.size(); ++i) {
    CHECK(keys.emplace(tensors[i].name, i).second) << tensors[i].name;
    append_tensor(pickle, tensors[i].name, tensors[i], i);
  }
  for (const SharedName& further : shared) {
    const size_t key = keys.at(further.of);
    append_tensor(pickle, further.name, tensors[key], key);
  }
  pickle.op('u');
  pickle.op('.');
  return pickle.bytes();
}

}  // namespace

void write_torch_file(const std::filesystem::path& path, const std::vector<TensorStream>& tensors,
                      const std::vector<SharedName>& shared,
                      const std::function<void(int64_t)>& progress) {
  const std::string prefix = path.stem().string() + "/";
  AtomicFile file(path);
  ZipWriter zip(file);
  zip.add(prefix + "data.pkl", pickle_of(tensors, shared));
  zip.add(prefix + "byteorder", "little");
  for (size_t i = 0; i < tensors.size(); ++i) {
    zip.begin(prefix + "data/" + std::to_string(i), static_cast<uint64_t>(tensors[i].bytes()));
    for_each_piece(tensors[i], [&](const void* bytes, size_t count) {
      zip.write(bytes, count);
      if (progress) progress(static_cast<int64_t>(count));
    });
    zip.end();
  }
  zip.add(prefix + "version", "3\n");
  zip.finish();
  file.commit();
}

}  // namespace longhaul::model
