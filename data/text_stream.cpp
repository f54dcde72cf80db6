#include "data/text_stream.h"

#include <fcntl.h>
#include <glog/logging.h>
#include <strings.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "data/file_io.h"
#include "kernels/core/error.h"
#include "kernels/core/handle.h"

namespace longhaul::data {

namespace {
constexpr size_t kBlockBytes = size_t{256} << 10;

class PlainStream : public TextStream {
 public:
  explicit PlainStream(const std::filesystem::path& file)
      : path_(file.string()), file_(::open(file.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (!file_) refuse(std::strerror(errno));
  }
  size_t read(std::span<char> out) override {
    size_t done = 0;
    while (done < out.size()) {
      const ssize_t now = ::read(file_.get(), out.data() + done, out.size() - done);
      if (now < 0 && errno == EINTR) continue;
      if (now < 0) throw core::Error(core::message(path_, ": cannot read: ", std::strerror(errno)));
      if (now == 0) break;
      done += static_cast<size_t>(now);
    }
    stored_bytes_ += static_cast<int64_t>(done);
    return done;
  }
  int64_t stored_bytes() const override { return stored_bytes_; }
  [[noreturn]] void refuse(const std::string& why) const {
    throw core::InputError(core::message(path_, ": ", why));
  }

 private:
  std::string path_;
  core::FileDescriptor file_;
  int64_t stored_bytes_ = 0;
};

class GzipStream : public TextStream {
 public:
  explicit GzipStream(const std::filesystem::path& file) : file_(file), block_(kBlockBytes) {
    constexpr int kGzipOnly = 16;
    CHECK_EQ(::inflateInit2(&inflater_, MAX_WBITS + kGzipOnly), Z_OK);
  }
  ~GzipStream() override { ::inflateEnd(&inflater_); }

  size_t read(std::span<char> out) override {
    inflater_.next_out = reinterpret_cast<Bytef*>(out.data());
    inflater_.avail_out = static_cast<uInt>(out.size());
    while (inflater_.avail_out > 0) {
      if (inflater_.avail_in == 0 && !refill()) {
        if (!between_members_ || file_.stored_bytes() == 0) file_.refuse("gzip data is truncated");
        break;
      }
      if (between_members_) ::inflateReset(&inflater_);
      between_members_ = false;
      const int status = ::inflate(&inflater_, Z_NO_FLUSH);
      if (status == Z_STREAM_END)
        between_members_ = true;
      else if (status != Z_OK && status != Z_BUF_ERROR)
        file_.refuse(core::message("gzip data is damaged near byte ",
                                   file_.stored_bytes() - inflater_.avail_in, ": ",
                                   inflater_.msg != nullptr ? inflater_.msg : "unknown reason"));
    }
    return out.size() - inflater_.avail_out;
  }
  int64_t stored_bytes() const override { return file_.stored_bytes(); }

 private:
  bool refill() {
    inflater_.avail_in = static_cast<uInt>(file_.read(block_));
    inflater_.next_in = reinterpret_cast<Bytef*>(block_.data());
    return inflater_.avail_in > 0;
  }

  PlainStream file_;
  std::vector<char> block_;
  z_stream inflater_{};
  bool between_members_ = true;
};

void free_decoder(ZSTD_DCtx* decoder) { ::ZSTD_freeDCtx(decoder); }

class ZstdStream : public TextStream {
 public:
  explicit ZstdStream(const std::filesystem::path& file)
      : file_(file), block_(kBlockBytes), decoder_(::ZSTD_createDCtx()) {
    CHECK(decoder_) << "out of memory";
  }

  size_t read(std::span<char> out) override {
    ZSTD_outBuffer to{out.data(), out.size(), 0};
    while (to.pos < to.size) {
      const bool ended = in_.pos == in_.size && !refill();
      if (ended && between_frames_) {
        if (file_.stored_bytes() == 0) file_.refuse("zstd data is truncated");
        break;
      }
      const size_t before = to.pos;
      const size_t status = ::ZSTD_decompressStream(decoder_.get(), &to, &in_);
      if (::ZSTD_isError(status))
        file_.refuse(core::message("zstd data is damaged near byte ",
                                   file_.stored_bytes() - static_cast<int64_t>(in_.size - in_.pos),
                                   ": ", ::ZSTD_getErrorName(status)));
      between_frames_ = status == 0;
      // Without input the decoder may still hold output; when it has none either, some is missing.
      if (ended && to.pos == before && !between_frames_) file_.refuse("zstd data is truncated");
    }
    return to.pos;
  }
  int64_t stored_bytes() const override { return file_.stored_bytes(); }

 private:
  bool refill() {
    in_ = {block_.data(), file_.read(block_), 0};
    return in_.size > 0;
  }

  PlainStream file_;
  std::vector<char> block_;
  core::UniqueHandle<ZSTD_DCtx*, &free_decoder> decoder_;
  ZSTD_inBuffer in_{nullptr, 0, 0};
  bool between_frames_ = true;
};

bool has_ending(const std::filesystem::path& file, const char* ending) {
  return ::strcasecmp(file.extension().c_str(), ending) == 0;
}
}  // namespace

std::unique_ptr<TextStream> open_text(const std::filesystem::path& file) {
  if (has_ending(file, ".gz")) return std::make_unique<GzipStream>(file);
  if (has_ending(file, ".zst")) return std::make_unique<ZstdStream>(file);
  return std::make_unique<PlainStream>(file);
}

std::string uncompressed_name(const std::filesystem::path& file) {
  const bool compressed = has_ending(file, ".gz") || has_ending(file, ".zst");
  return compressed ? file.stem().string() : file.filename().string();
}

}  // namespace longhaul::data
