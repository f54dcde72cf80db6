// What ssd_test.cpp runs with shapes of its own and, on a real device, of large_ssd_test.cpp.
#pragma once

#include "tests/kernels/device/device_test.h"
#include "tests/kernels/ssd_case.h"

namespace longhaul::testing {

class SsdOnDevice : public DeviceTest, public ::testing::WithParamInterface<SsdShape> {};

}  // namespace longhaul::testing
