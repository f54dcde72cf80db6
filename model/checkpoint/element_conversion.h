// Between stored elements (any alignment, little-endian) and elements in memory.
#pragma once

#include <cstdint>
#include <string>

#include "kernels/core/dtype.h"
#include "model/checkpoint/safetensors.h"

namespace longhaul::model {

/// Floating types convert into floating types, integers into I32.
bool can_read(StoredType stored, core::DType memory);
/// Floating types are stored as floating types, I32 as I32 or I64.
bool can_store(core::DType memory, StoredType stored);

/// Converts `count` elements; needs can_read. `first` as for store_elements. Returns what is wrong
/// with a value (an integer beyond int32), "" if nothing.
std::string read_elements(const void* source, StoredType stored, int64_t first, int64_t count,
                          void* target, core::DType memory);

/// Converts `count` elements, floats rounded once, to nearest even; needs can_store. `first` is the
/// number of the first element, for the message. Returns what is wrong with a value (a finite one
/// that the stored type cannot hold), "" if nothing.
std::string store_elements(const void* source, core::DType memory, int64_t first, int64_t count,
                           void* target, StoredType stored);

/// How many of `count` elements are NaN or infinite; integers never are.
int64_t count_not_finite(const void* elements, StoredType type, int64_t count);

/// Converts `count` elements between stored types (both floats, or both integers). `first` and the
/// return value as for store_elements.
std::string convert_elements(const void* source, StoredType from, int64_t first, int64_t count,
                             void* target, StoredType to);

}  // namespace longhaul::model
