#pragma once

#include <cstddef>
#include <string_view>

namespace longhaul::launch {

/// Offset of the first byte that is no part of well-formed UTF-8 (RFC 3629) or is a control
/// character other than tab, line feed and carriage return; size() if there is none.
size_t first_not_text(std::string_view text);

}  // namespace longhaul::launch
