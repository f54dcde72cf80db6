#pragma once

#include <string>

namespace longhaul::eval {

/// Safe as text and inside quoted attributes. Control characters become spaces, bytes that are not
/// UTF-8 the replacement character.
std::string escape_html(const std::string& text);

/// Escaped; a narrow column breaks it after underscores and dots.
std::string name_html(const std::string& name);

/// A page that needs nothing but itself: styles for light, dark, paper and narrow screens.
std::string html_page(const std::string& title, const std::string& body);

}  // namespace longhaul::eval
