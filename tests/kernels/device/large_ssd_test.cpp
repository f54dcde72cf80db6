// The recurrence where one block of threads a chunk, with all heads of a group, fills the device,
// as in training. Emulated it would take minutes.
#include "tests/kernels/device/ssd_on_device.h"

namespace longhaul::testing {
namespace {

INSTANTIATE_TEST_SUITE_P(ManyChunks, SsdOnDevice,
                         ::testing::Values(SsdShape{{200, 20, 3, 64, 1, 128}, 32}),
                         [](const auto& info) { return name_of(info.param); });

}  // namespace
}  // namespace longhaul::testing
