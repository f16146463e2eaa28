// The part of Python's stable ABI that the extension uses, as of Python 3.11, declared
// by hand.
//
// Python.h is not everywhere that Python is: rules_python 0.22, which Debian has and a
// WORKSPACE gets, offers no headers, and a machine's own need not be there. The stable
// ABI, which is the Limited API as binaries see it, stays as it is in all versions of
// Python 3 that are not free-threaded: names, layouts and numbers below never change
// (https://docs.python.org/3/c-api/stable.html). So does what is declared as macros
// there and is not here: one extension serves 3.11 and all later ones.
#ifndef RULES_TORCH_PYTHON_PYTHON_ABI_H_
#define RULES_TORCH_PYTHON_PYTHON_ABI_H_

#include <cstddef>
#include <cstdint>

extern "C" {

using Py_ssize_t = std::ptrdiff_t;

struct PyTypeObject;  // opaque

struct PyObject {
  Py_ssize_t ob_refcnt;
  PyTypeObject* ob_type;
};

struct Py_buffer {
  void* buf;
  PyObject* obj;  // owned
  Py_ssize_t len;
  Py_ssize_t itemsize;
  int readonly;
  int ndim;
  char* format;
  Py_ssize_t* shape;
  Py_ssize_t* strides;
  Py_ssize_t* suboffsets;
  void* internal;
};

struct PyThreadState;

using PyCFunction = PyObject* (*)(PyObject* self, PyObject* args);
using getter = PyObject* (*)(PyObject* self, void* closure);
using setter = int (*)(PyObject* self, PyObject* value, void* closure);
using newfunc = PyObject* (*)(PyTypeObject* type, PyObject* args, PyObject* kwargs);
using freefunc = void (*)(void* memory);
using PyCapsule_Destructor = void (*)(PyObject* capsule);

struct PyMethodDef {
  const char* ml_name;
  PyCFunction ml_meth;
  int ml_flags;
  const char* ml_doc;
};

struct PyGetSetDef {
  const char* name;
  getter get;
  setter set;
  const char* doc;
  void* closure;
};

struct PyType_Slot {
  int slot;
  void* pfunc;
};

struct PyType_Spec {
  const char* name;
  int basicsize;
  int itemsize;
  unsigned int flags;
  PyType_Slot* slots;
};

struct PyModuleDef {
  PyObject ob_base;
  PyObject* (*m_init)();
  Py_ssize_t m_index;
  PyObject* m_copy;
  const char* m_name;
  const char* m_doc;
  Py_ssize_t m_size;
  PyMethodDef* m_methods;
  void* m_slots;
  void* m_traverse;
  void* m_clear;
  freefunc m_free;
};

enum {
  PYTHON_ABI_VERSION = 3,

  Py_bf_getbuffer = 1,
  Py_tp_dealloc = 52,
  Py_tp_doc = 56,
  Py_tp_methods = 64,
  Py_tp_new = 65,
  Py_tp_repr = 66,
  Py_tp_getset = 73,
  Py_tp_free = 74,

  METH_VARARGS = 0x1,
  METH_KEYWORDS = 0x2,
  METH_NOARGS = 0x4,
  METH_O = 0x8,
  METH_FASTCALL = 0x80,

  PyBUF_WRITABLE = 0x1,
  PyBUF_FORMAT = 0x4,
  PyBUF_ND = 0x8,
  PyBUF_STRIDES = 0x18,
  PyBUF_F_CONTIGUOUS = 0x58,
};

constexpr unsigned int Py_TPFLAGS_DEFAULT = 0;
constexpr unsigned int Py_TPFLAGS_BASETYPE = 1u << 10;
constexpr unsigned long Py_TPFLAGS_LIST_SUBCLASS = 1ul << 25;
constexpr unsigned long Py_TPFLAGS_TUPLE_SUBCLASS = 1ul << 26;

extern PyObject _Py_NoneStruct;
extern PyTypeObject PyTuple_Type;

extern PyObject* PyExc_BufferError;
extern PyObject* PyExc_Exception;
extern PyObject* PyExc_FileNotFoundError;
extern PyObject* PyExc_ImportError;
extern PyObject* PyExc_MemoryError;
extern PyObject* PyExc_NotImplementedError;
extern PyObject* PyExc_OSError;
extern PyObject* PyExc_RuntimeError;
extern PyObject* PyExc_TypeError;
extern PyObject* PyExc_ValueError;

void Py_IncRef(PyObject* object);  // NULL is allowed, here and below
void Py_DecRef(PyObject* object);

PyObject* PyModule_Create2(PyModuleDef* module, int abi_version);
int PyModule_AddObjectRef(PyObject* module, const char* name, PyObject* value);
PyObject* PyImport_GetModule(PyObject* name);

PyObject* PyType_FromSpec(PyType_Spec* spec);
void* PyType_GetSlot(PyTypeObject* type, int slot);
unsigned long PyType_GetFlags(PyTypeObject* type);
PyObject* PyType_GetName(PyTypeObject* type);
int PyType_IsSubtype(PyTypeObject* type, PyTypeObject* base);
PyObject* PyType_GenericAlloc(PyTypeObject* type, Py_ssize_t items);

PyObject* PyObject_GetAttr(PyObject* object, PyObject* name);
PyObject* PyObject_GetAttrString(PyObject* object, const char* name);
PyObject* PyObject_Call(PyObject* callable, PyObject* args, PyObject* kwargs);
PyObject* PyObject_CallNoArgs(PyObject* callable);
PyObject* PyObject_CallFunctionObjArgs(PyObject* callable, ...);
PyObject* PyObject_Str(PyObject* object);
int PyObject_IsTrue(PyObject* object);
int PyObject_CheckBuffer(PyObject* object);
int PyObject_GetBuffer(PyObject* object, Py_buffer* view, int flags);
void PyBuffer_Release(Py_buffer* view);

PyObject* PyBool_FromLong(long value);
PyObject* PyLong_FromLongLong(long long value);
long PyLong_AsLong(PyObject* object);

PyObject* PyUnicode_FromString(const char* text);
PyObject* PyUnicode_FromFormat(const char* format, ...);
PyObject* PyUnicode_InternFromString(const char* text);
const char* PyUnicode_AsUTF8AndSize(PyObject* text, Py_ssize_t* size);
int PyUnicode_Compare(PyObject* left, PyObject* right);
int PyUnicode_FSConverter(PyObject* object, void* bytes);  // to a PyObject*
char* PyBytes_AsString(PyObject* bytes);

PyObject* PyTuple_New(Py_ssize_t size);
Py_ssize_t PyTuple_Size(PyObject* tuple);
PyObject* PyTuple_GetItem(PyObject* tuple, Py_ssize_t i);            // borrowed
int PyTuple_SetItem(PyObject* tuple, Py_ssize_t i, PyObject* item);  // steals
PyObject* PySequence_Tuple(PyObject* sequence);
PyObject* PyDict_New();
int PyDict_SetItemString(PyObject* dict, const char* key, PyObject* value);

PyObject* PyCapsule_New(void* pointer, const char* name,
                        PyCapsule_Destructor destructor);
void* PyCapsule_GetPointer(PyObject* capsule, const char* name);
int PyCapsule_IsValid(PyObject* capsule, const char* name);
int PyCapsule_SetName(PyObject* capsule, const char* name);

int PyArg_ParseTupleAndKeywords(PyObject* args, PyObject* kwargs, const char* format,
                                char** names, ...);

PyObject* PyErr_Occurred();  // borrowed
PyObject* PyErr_NoMemory();
PyObject* PyErr_Format(PyObject* type, const char* format, ...);
void PyErr_SetString(PyObject* type, const char* message);
void PyErr_SetObject(PyObject* type, PyObject* value);
int PyErr_ExceptionMatches(PyObject* type);
void PyErr_Clear();
void PyErr_Fetch(PyObject** type, PyObject** value, PyObject** traceback);
void PyErr_Restore(PyObject* type, PyObject* value, PyObject* traceback);  // steals
void PyErr_NormalizeException(PyObject** type, PyObject** value, PyObject** traceback);
void PyException_SetCause(PyObject* exception, PyObject* cause);  // steals `cause`

PyThreadState* PyEval_SaveThread();
void PyEval_RestoreThread(PyThreadState* state);

}  // extern "C"

inline PyObject* const Py_None = &_Py_NoneStruct;

#endif  // RULES_TORCH_PYTHON_PYTHON_ABI_H_
