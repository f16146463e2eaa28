#include "runtime/tuning/table.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace rules_torch::tuning {
namespace {

std::string Quote(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c));
      quoted += escape;
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

std::string Print(const std::string& choice, int) { return choice; }

// An object, whose entries are `indent` spaces from the left.
template <typename Value>
std::string Print(const std::map<std::string, Value>& object, int indent) {
  std::string text = "{";
  const char* separator = "\n";
  for (const auto& [key, value] : object) {
    text += separator;
    text.append(static_cast<std::size_t>(indent), ' ');
    text += Quote(key) + ": " + Print(value, indent + 2);
    separator = ",\n";
  }
  if (!object.empty()) {
    text += '\n';
    text.append(static_cast<std::size_t>(indent) - 2, ' ');
  }
  return text + '}';
}

Status CannotWrite(const std::string& path, int error) {
  return Status(RTORCH_INVALID_ARGUMENT,
                "cannot write " + path + ": " + std::strerror(error));
}

}  // namespace

std::string InstantiationKey(const char* instantiation) {
  return instantiation[0] != '\0' ? instantiation : "default";
}

Table BuiltTable(const Tuner& tuner) {
  Table table;
  for (int i = 0; i < tuner.num_rows; ++i) {
    const Row& row = tuner.rows[i];
    table[row.function][InstantiationKey(row.instantiation)][row.architecture] =
        row.choice;
  }
  return table;
}

std::string ToJson(const Table& table) { return Print(table, 2) + '\n'; }

Status CheckWritable(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  // With the slash: the directory may be the root.
  const std::string directory =
      slash == std::string::npos ? "." : path.substr(0, slash + 1);
  if (access(directory.c_str(), W_OK) == 0) return Status();
  return CannotWrite(path, errno);
}

Status ReplaceFile(const std::string& path, const std::string& text) {
  const std::string temporary = path + ".new";
  std::FILE* file = std::fopen(temporary.c_str(), "w");
  if (file == nullptr) return CannotWrite(temporary, errno);
  int error = 0;
  if (std::fwrite(text.data(), 1, text.size(), file) != text.size()) error = errno;
  // What was buffered is written here.
  if (std::fclose(file) != 0 && error == 0) error = errno;
  if (error == 0 && std::rename(temporary.c_str(), path.c_str()) != 0) error = errno;
  if (error == 0) return Status();
  std::remove(temporary.c_str());
  return CannotWrite(path, error);
}

}  // namespace rules_torch::tuning
