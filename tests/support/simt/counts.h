// What this process has done on the emulated device so far.
#pragma once

#include <cstdint>

namespace longhaul::simt {

int64_t grids_run();
/// Calls that wait for the device or take memory from the system: what no recording can hold.
int64_t calls_not_recordable();

}  // namespace longhaul::simt
