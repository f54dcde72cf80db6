// The page that the tables stand in: SCALING.md.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "bench/scaling/tables.h"

namespace longhaul::bench {

/// Every table of the page by its name.
using Tables = std::map<std::string, std::string>;
/// From the YAML files and the check's results in `files` (bench/scaling).
Tables all_tables(const std::filesystem::path& files);

/// `text` with every table renewed: a table stands between the lines "<!-- table NAME -->" and
/// "<!-- end -->". InputError where a table of the page has no name that we know, or one of ours is
/// missing.
std::string with_tables(const std::string& text, const Tables& tables, const std::string& name);

/// Whether the page holds these tables; `write`: renews it, beside it and then renamed.
bool renew_tables(const std::filesystem::path& page, const Tables& tables, bool write);

}  // namespace longhaul::bench
