// Loops over the threads of a context. Every item is computed by one thread in one order, so
// results do not depend on the number of threads.
#pragma once

#include <omp.h>

#include <algorithm>
#include <cstdint>

#include "kernels/core/context.h"

namespace longhaul::core {

/// body(begin, end) over contiguous shares of [0, count); `grain` is the least worth a thread.
template <class Body>
void parallel_ranges(Context& context, int64_t count, int64_t grain, const Body& body) {
  const int64_t useful = std::max<int64_t>(1, count / std::max<int64_t>(1, grain));
  const int threads = static_cast<int>(std::min<int64_t>(context.threads(), useful));
  if (threads <= 1) {
    if (count > 0) body(int64_t{0}, count);
    return;
  }
#pragma omp parallel num_threads(threads)
  {
    const int64_t id = omp_get_thread_num();
    const int64_t team = omp_get_num_threads();
    const int64_t begin = count * id / team;
    const int64_t end = count * (id + 1) / team;
    if (begin < end) body(begin, end);
  }
}

/// body(i) for independent items that are each worth a thread; handed out dynamically.
template <class Body>
void parallel_items(Context& context, int64_t count, const Body& body) {
  const int threads = static_cast<int>(std::min<int64_t>(context.threads(), count));
  if (threads <= 1) {
    for (int64_t i = 0; i < count; ++i) body(i);
    return;
  }
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
  for (int64_t i = 0; i < count; ++i) body(i);
}

}  // namespace longhaul::core
