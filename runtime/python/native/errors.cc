#include "runtime/python/native/errors.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "rules_torch/abi.h"
#include "runtime/python/native/object.h"
#include "runtime/python/native/python_abi.h"

namespace rules_torch::python {
namespace {

// docs/python.md has this table.
PyObject* ExceptionOf(RTorchCode code) {
  switch (code) {
    case RTORCH_INVALID_ARGUMENT:
      return PyExc_ValueError;
    case RTORCH_NOT_FOUND:
      return PyExc_FileNotFoundError;
    case RTORCH_RESOURCE_EXHAUSTED:
      return PyExc_MemoryError;
    case RTORCH_UNIMPLEMENTED:
      return PyExc_NotImplementedError;
    case RTORCH_DATA_LOSS:
      return PyExc_OSError;
    default:  // CANCELLED, INTERNAL, UNAVAILABLE
      return PyExc_RuntimeError;
  }
}

}  // namespace

PyObject* Raise(const RTorchError& error) {
  // A message that was cut may end within a character: %s replaces it.
  return PyErr_Format(ExceptionOf(error.code), "%s", error.message);
}

void RaiseAt(const char* side, const char* name) {
  if (!PyErr_ExceptionMatches(PyExc_Exception) ||
      PyErr_ExceptionMatches(PyExc_MemoryError)) {
    return;
  }
  PyObject* type = nullptr;
  PyObject* cause = nullptr;
  PyObject* traceback = nullptr;
  PyErr_Fetch(&type, &cause, &traceback);
  PyErr_NormalizeException(&type, &cause, &traceback);
  Py_DecRef(type);
  Py_DecRef(traceback);
  const Ref text(PyObject_Str(cause));
  const char* message = text ? PyUnicode_AsUTF8AndSize(text.get(), nullptr) : nullptr;
  if (message == nullptr) {
    PyErr_Clear();
    message = "unreadable";
  }
  // torch's messages have C++'s stack behind the first line.
  char line[RTORCH_MAX_MESSAGE];
  const std::size_t length = std::min(std::strcspn(message, "\n"), sizeof line - 1);
  std::memcpy(line, message, length);
  line[length] = '\0';
  PyErr_Format(PyExc_ValueError, "%s '%s': %s", side, name, line);
  PyObject* value = nullptr;
  PyErr_Fetch(&type, &value, &traceback);
  PyErr_NormalizeException(&type, &value, &traceback);
  PyException_SetCause(value, cause);
  PyErr_Restore(type, value, traceback);
}

}  // namespace rules_torch::python
