// A tiny model and random tokens for it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <ostream>
#include <string>

#include "dist/mesh.h"
#include "model/config.h"
#include "tests/eval/scratch_folder.h"

namespace longhaul::eval {

constexpr int64_t kVocabulary = 13;

model::ModelConfig tiny_config(int64_t vocabulary);

/// Six documents of random tokens, long, so that every window lies inside one. The folder.
std::filesystem::path write_tokens(const testing::ScratchFolder& scratch, int64_t document_length);

/// A way to run an evaluation.
struct Way {
  std::string name;
  dist::MeshShape mesh;
  int64_t piece, batch;
};
inline void PrintTo(const Way& way, std::ostream* out) { *out << way.name; }

}  // namespace longhaul::eval
