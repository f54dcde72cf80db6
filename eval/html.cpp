#include "eval/html.h"

#include <cstdint>

#include "eval/plot.h"

namespace longhaul::eval {

namespace {

/// Bytes of the well-formed UTF-8 sequence at `at`, 0 if there is none.
size_t utf8_length(const std::string& text, size_t at) {
  const auto byte = [&](size_t i) {
    return i < text.size() ? static_cast<uint8_t>(text[i]) : uint8_t{0};
  };
  const uint8_t first = byte(at), second = byte(at + 1);
  const size_t length = first < 0x80   ? 1
                        : first < 0xc2 ? 0
                        : first < 0xe0 ? 2
                        : first < 0xf0 ? 3
                        : first < 0xf5 ? 4
                                       : 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xc0) != 0x80) return 0;
  }
  const bool overlong = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
  const bool surrogate = first == 0xed && second >= 0xa0;
  const bool beyond = first == 0xf4 && second >= 0x90;
  return overlong || surrogate || beyond ? 0 : length;
}

// Beside kPlotColours, which are for white: the same arms lightened for black. Heat maps: viridis.
constexpr const char* kStyle = R"(
:root { color-scheme: light dark; --page: #fff; --card: #f6f7f8; --text: #1c2024; --soft: #5b636b;
  --line: #d9dde1; --accent: #0072b2; }
:root { --heat-0: #440154; --heat-1: #482878; --heat-2: #3e4989; --heat-3: #31688e;
  --heat-4: #26828e; --heat-5: #1f9e89; --heat-6: #35b779; --heat-7: #6ece58; --heat-8: #b5de2b; --heat-9: #fde725;
  --heat-lost: #e0004d; }
@media (prefers-color-scheme: dark) { :root { --page: #15181b; --card: #1d2125; --text: #e6e9ec;
  --soft: #a0a8b0; --line: #353b41; --ink: #b4bbc2; --axis: #6b737b; --grid: #2a2f34;
  --accent: #56b4e9; --arm-0: #4ea8e6; --arm-1: #f0803c; --arm-2: #2fc79a; --arm-3: #dd8cbb;
  --arm-4: #eeb63c; --arm-5: #d0d4d8; --arm-6: #9bd3f7; --arm-7: #c39a72; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 66rem; margin: 0 auto; padding: 2.2rem 1.25rem 4rem; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .3rem; letter-spacing: -.01em;
  overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.8rem 0 .5rem; padding-top: 1.1rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.8rem 0 .3rem; }
p { margin: .4rem 0; } .soft, figcaption { color: var(--soft); font-size: .9rem; }
ul { margin: .4rem 0; padding-left: 1.2rem; } li { margin: .25rem 0; overflow-wrap: anywhere; }
.seen { background: var(--card); border-left: 4px solid var(--accent); border-radius: 4px;
  padding: .8rem 1.1rem; margin: 1.4rem 0; }
.seen h2 { border: 0; margin: 0; padding: 0; font-size: 1.05rem; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.3rem; list-style: none; padding: 0;
  margin: .5rem 0; font-size: .92rem; }
.legend li { display: flex; align-items: center; gap: .45rem; min-width: 0; margin: 0; }
.swatch { flex: none; width: 38px; height: 12px; }
figure { margin: 1.3rem 0; } figure > svg { display: block; width: 100%; height: auto; }
figure > svg g { font-family: inherit; shape-rendering: auto; }
.heat-0 { fill: var(--heat-0); } .heat-1 { fill: var(--heat-1); } .heat-2 { fill: var(--heat-2); }
.heat-3 { fill: var(--heat-3); } .heat-4 { fill: var(--heat-4); } .heat-5 { fill: var(--heat-5); }
.heat-6 { fill: var(--heat-6); } .heat-7 { fill: var(--heat-7); } .heat-8 { fill: var(--heat-8); }
.heat-9 { fill: var(--heat-9); } .lost { fill: var(--heat-lost); }
.maps { display: flex; flex-wrap: wrap; gap: 0 1.2rem; }
.maps figure { flex: 0 1 20rem; margin: .6rem 0; }
.maps svg { max-width: 40rem; max-height: 34rem; } .heat text { font-size: 11px; fill: var(--soft); }
.heat-legend { display: flex; align-items: center; gap: 2px; } .heat-legend svg { width: 1.1rem; }
.heat-legend span { margin: 0 .4rem; }
.narrow-scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums;
  margin: .7rem 0; min-width: 100%; }
th, td { padding: .38rem .5rem; border-bottom: 1px solid var(--line); text-align: right;
  vertical-align: top; white-space: nowrap; }
thead th { font-weight: 600; border-bottom: 2px solid var(--axis); }
th:first-child, td:first-child { text-align: left; } tbody th { font-weight: 500; }
tbody th { white-space: normal; overflow-wrap: break-word; min-width: 7rem; max-width: 16rem; }
.text td { white-space: normal; overflow-wrap: anywhere; text-align: left; min-width: 6rem; }
.text thead th { text-align: left; } td small, th small { display: block; color: var(--soft);
  font-weight: 400; } td.best { font-weight: 700; } td.best small { font-weight: 400; }
td.beyond, th.beyond { background: var(--card); }
code { font: .88em ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
tbody th code { overflow-wrap: break-word; }
summary { cursor: pointer; color: var(--soft); }
@media (max-width: 560px) { main { padding: 1.3rem .9rem 3rem; } h1 { font-size: 1.4rem; }
  figure > svg { width: calc(100% + 1rem); margin: 0 -.5rem; }
  figure > svg text { font-size: 19px; }
  th, td { padding: .35rem .4rem; } tbody th { min-width: 5.5rem; } }
@media print { :root { color-scheme: light; --page: #fff; --card: #f3f3f3; --text: #000;
  --soft: #444; --line: #bbb; --ink: #222; --axis: #777; --grid: #ddd; --arm-0: #0072b2;
  --arm-1: #d55e00; --arm-2: #008f6a; --arm-3: #b8538f; --arm-4: #c98a00; --arm-5: #3d3d3d;
  --arm-6: #3ba0dd; --arm-7: #7a5230; }
  body { font-size: 10pt; } main { max-width: none; padding: 0; }
  figure, table, .seen { break-inside: avoid; } h2, h3, h4, h3 + p { break-after: avoid; }
  .narrow-scroll { overflow: visible; } th, td { padding: .2rem .35rem; }
  table { font-size: 8pt; } }
)";

}  // namespace

std::string escape_html(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const size_t length = utf8_length(text, i);
    const char c = text[i];
    if (length == 0) {
      out += "\xef\xbf\xbd";
    } else if (length > 1) {
      out.append(text, i, length);
    } else if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (c == '"') {
      out += "&quot;";
    } else if (c == '\'') {
      out += "&#39;";
    } else {
      out += static_cast<uint8_t>(c) < 0x20 || c == 0x7f ? ' ' : c;
    }
    i += length == 0 ? 1 : length;
  }
  return out;
}

std::string name_html(const std::string& name) {
  std::string out;
  for (const char c : escape_html(name)) {
    out += c;
    if (c == '_' || c == '.') out += "<wbr>";
  }
  return out;
}

std::string html_page(const std::string& title, const std::string& body) {
  return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
         "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>" +
         escape_html(title) + "</title>\n<style>" + kPlotColours + kStyle +
         "</style>\n</head>\n<body>\n<main>\n" + body + "</main>\n</body>\n</html>\n";
}

}  // namespace longhaul::eval
