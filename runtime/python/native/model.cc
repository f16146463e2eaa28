#include "runtime/python/native/model.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

#include "rules_torch/abi.h"
#include "runtime/python/native/arrays.h"
#include "runtime/python/native/errors.h"
#include "runtime/python/native/library.h"
#include "runtime/python/native/object.h"
#include "runtime/python/native/python_abi.h"

namespace rules_torch::python {
namespace {

struct ModelObject {
  PyObject base;
  PyObject* library;
  PyObject* outputs;  // the type of what run returns, a subclass of tuple
  const RTorchModelApi* api;
  RTorchModel* model;
};

PyTypeObject* model_type = nullptr;

// Others may use Python while one of these is alive.
class WithoutLock {
 public:
  WithoutLock() : state_(PyEval_SaveThread()) {}
  ~WithoutLock() { PyEval_RestoreThread(state_); }
  WithoutLock(const WithoutLock&) = delete;
  WithoutLock& operator=(const WithoutLock&) = delete;

 private:
  PyThreadState* state_;
};

// A path that C functions take. None: null.
class Path {
 public:
  bool Set(PyObject* object) {
    PyObject* bytes = nullptr;
    if (object != Py_None && !PyUnicode_FSConverter(object, &bytes)) return false;
    bytes_.Reset(bytes);
    return true;
  }
  const char* get() const { return bytes_ ? PyBytes_AsString(bytes_.get()) : nullptr; }

 private:
  Ref bytes_;
};

RTorchWeights WeightsAt(const Path& path) {
  RTorchWeights weights{};
  weights.struct_size = sizeof weights;
  weights.path = path.get();
  return weights;
}

PyObject* New(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  PyObject* library = nullptr;
  PyObject* outputs = nullptr;
  PyObject* path = Py_None;
  int threads = 0;
  const char* names[] = {"library", "outputs", "weights", "threads", nullptr};
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!OOi:Model",
                                   const_cast<char**>(names), LibraryType(), &library,
                                   &outputs, &path, &threads)) {
    return nullptr;
  }
  Path weights_path;
  if (!weights_path.Set(path)) return nullptr;
  Ref self(PyType_GenericAlloc(type, 0));
  if (!self) return nullptr;
  auto* const model = As<ModelObject>(self.get());
  model->library = NewRef(library);
  model->outputs = NewRef(outputs);
  model->api = &ApiOf(library);
  const RTorchWeights weights = WeightsAt(weights_path);
  RTorchCreateOptions options{};
  options.struct_size = sizeof options;
  options.threads = threads;
  options.weights = weights.path == nullptr ? nullptr : &weights;
  RTorchError error;
  RTorchCode code = RTORCH_OK;
  {
    const WithoutLock others;
    code = model->api->create(model->api, &options, &model->model, &error);
  }
  return code == RTORCH_OK ? self.Release() : Raise(error);
}

void Dealloc(PyObject* self) {
  auto* const model = As<ModelObject>(self);
  if (model->model != nullptr) model->api->destroy(model->model);
  Py_DecRef(model->outputs);
  Py_DecRef(model->library);
  FreeObject(self);
}

// Elements on the stack if there are few of them.
template <typename T>
class Array {
 public:
  Array() = default;
  ~Array() {
    if (at_ == few_) return;
    for (std::size_t i = 0; i < count_; ++i) at_[i].~T();
    std::free(at_);
  }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;

  // Once; false with an exception set for lack of memory.
  bool Reserve(std::size_t count) {
    if (count <= kFew) return true;
    auto* const many = static_cast<T*>(std::malloc(count * sizeof(T)));
    if (many == nullptr) {
      PyErr_NoMemory();
      return false;
    }
    for (; count_ < count; ++count_) new (many + count_) T;
    at_ = many;
    return true;
  }

  T& operator[](std::size_t i) { return at_[i]; }
  T* get() { return at_; }

 private:
  static constexpr std::size_t kFew = 8;
  T few_[kFew];
  T* at_ = few_;
  std::size_t count_ = 0;  // where it is not few_
};

// One call of run, step by step. What can fail returns false with an exception set.
class Run {
 public:
  explicit Run(const ModelObject& model)
      : model_(model),
        api_(*model.api),
        num_inputs_(static_cast<std::size_t>(api_.num_inputs)),
        num_outputs_(static_cast<std::size_t>(api_.num_outputs)) {}

  PyObject* operator()(PyObject* const* args, Py_ssize_t num_args, PyObject* names) {
    if (!Reserve() || !Bind(args, num_args, names) || !BorrowInputs() ||
        !BorrowOutputs() || !Compute()) {
      return nullptr;
    }
    return MakeOutputs();
  }

 private:
  bool Reserve() {
    return objects_.Reserve(num_inputs_) && inputs_.Reserve(num_inputs_) &&
           outputs_.Reserve(num_outputs_) &&
           borrowed_.Reserve(num_inputs_ + num_outputs_);
  }

  // Finds the object of each input, and what is given for the outputs.
  bool Bind(PyObject* const* args, Py_ssize_t num_args, PyObject* names) {
    if (num_args > api_.num_inputs) {
      PyErr_Format(PyExc_TypeError,
                   "run() takes %d positional arguments but %zd were given",
                   static_cast<int>(api_.num_inputs), num_args);
      return false;
    }
    for (std::size_t i = 0; i < num_inputs_; ++i) {
      objects_[i] = static_cast<Py_ssize_t>(i) < num_args ? args[i] : nullptr;
    }
    const Py_ssize_t num_names = names == nullptr ? 0 : PyTuple_Size(names);
    for (Py_ssize_t i = 0; i < num_names; ++i) {
      if (!BindName(PyTuple_GetItem(names, i), args[num_args + i])) return false;
    }
    for (std::size_t i = 0; i < num_inputs_; ++i) {
      if (objects_[i] != nullptr) continue;
      PyErr_Format(PyExc_TypeError, "run() misses the argument '%s'",
                   api_.inputs[i].name);
      return false;
    }
    return true;
  }

  bool BindName(PyObject* name, PyObject* value) {
    static PyObject* const out = PyUnicode_InternFromString("out");
    if (Equal(name, out)) {
      given_ = value;
      return true;
    }
    PyObject* const input_names = InputNamesOf(model_.library);
    for (std::size_t i = 0; i < num_inputs_; ++i) {
      if (!Equal(name, PyTuple_GetItem(input_names, static_cast<Py_ssize_t>(i)))) {
        continue;
      }
      if (objects_[i] != nullptr) {
        PyErr_Format(PyExc_TypeError, "run() got multiple values for argument '%U'",
                     name);
        return false;
      }
      objects_[i] = value;
      return true;
    }
    PyErr_Format(PyExc_TypeError, "run() got an unexpected keyword argument '%U'",
                 name);
    return false;
  }

  // Names in a program's text are interned.
  static bool Equal(PyObject* left, PyObject* right) {
    return left == right || PyUnicode_Compare(left, right) == 0;
  }

  bool BorrowInputs() {
    for (std::size_t i = 0; i < num_inputs_; ++i) {
      RTorchTensor& tensor = inputs_[i];
      tensor.owner = nullptr;
      tensor.deleter = nullptr;
      const ArrayType* const type =
          borrowed_[i].Borrow(objects_[i], {"input", &api_.inputs[i]}, false, &tensor);
      if (type == nullptr) return false;
      kind_.Take(type, objects_[i]);
    }
    return true;
  }

  bool BorrowOutputs() {
    for (std::size_t i = 0; i < num_outputs_; ++i) outputs_[i] = RTorchTensor{};
    if (given_ == Py_None) return true;
    if (!FindBuffers()) return false;
    Kind kind;
    for (std::size_t i = 0; i < num_outputs_; ++i) {
      PyObject* const buffer = Buffer(i);
      if (buffer == Py_None) continue;
      const ArrayType* const type = borrowed_[num_inputs_ + i].Borrow(
          buffer, {"output", &api_.outputs[i]}, true, &outputs_[i]);
      if (type == nullptr) return false;
      kind.Take(type, buffer);
      if (!HasMemory(i)) return false;
    }
    if (kind_.type == nullptr) kind_ = kind;
    return true;
  }

  // For null, which an empty buffer may be, the C ABI would allocate.
  bool HasMemory(std::size_t i) {
    RTorchTensor& tensor = outputs_[i];
    if (tensor.data != nullptr) return true;
    for (std::int32_t j = 0; j < tensor.rank; ++j) {
      if (tensor.sizes[j] != 0) continue;
      tensor.data = &tensor;  // nothing is written there
      return true;
    }
    PyErr_Format(PyExc_ValueError, "output '%s': the buffer has no memory",
                 api_.outputs[i].name);
    return false;
  }

  // `out` is one buffer for each output, or the buffer of the only one.
  bool FindBuffers() {
    const unsigned long flags = PyType_GetFlags(given_->ob_type);
    if ((flags & (Py_TPFLAGS_TUPLE_SUBCLASS | Py_TPFLAGS_LIST_SUBCLASS)) != 0) {
      buffers_.Reset(PySequence_Tuple(given_));
    } else if (num_outputs_ == 1) {
      buffers_.Reset(PyTuple_New(1));
      if (buffers_) PyTuple_SetItem(buffers_.get(), 0, NewRef(given_));
    } else {
      PyErr_Format(PyExc_TypeError,
                   "run() takes as 'out' a tuple of %d buffers or None, one for each "
                   "output",
                   static_cast<int>(api_.num_outputs));
      return false;
    }
    if (!buffers_) return false;
    const Py_ssize_t size = PyTuple_Size(buffers_.get());
    if (size == api_.num_outputs) return true;
    PyErr_Format(PyExc_ValueError, "'out' has %zd buffers, but the model %d outputs",
                 size, static_cast<int>(api_.num_outputs));
    return false;
  }

  // What was given for an output, or None; borrowed.
  PyObject* Buffer(std::size_t i) const {
    return buffers_ ? PyTuple_GetItem(buffers_.get(), static_cast<Py_ssize_t>(i))
                    : Py_None;
  }

  bool Compute() {
    RTorchError error;
    RTorchCode code = RTORCH_OK;
    {
      const WithoutLock others;
      code = api_.run(model_.model, inputs_.get(), api_.num_inputs, outputs_.get(),
                      api_.num_outputs, nullptr, &error);
    }
    if (code != RTORCH_OK) Raise(error);
    return code == RTORCH_OK;
  }

  // The memory of a result passes to the object that is made of it, or is released.
  PyObject* MakeOutputs() {
    Ref made(PyTuple_New(api_.num_outputs));
    for (std::size_t i = 0; i < num_outputs_; ++i) {
      PyObject* const buffer = Buffer(i);
      PyObject* object = nullptr;
      if (buffer != Py_None) {
        object = NewRef(buffer);
      } else if (made) {
        object = MakeArray(kind_, &outputs_[i]);
      } else {
        api_.release(&outputs_[i]);
      }
      if (made && object != nullptr) {
        PyTuple_SetItem(made.get(), static_cast<Py_ssize_t>(i), object);
      } else {
        Py_DecRef(object);
        made.Reset();
      }
    }
    if (!made) return nullptr;
    // What namedtuple's own constructor does, in Python.
    static const auto new_tuple =
        reinterpret_cast<newfunc>(PyType_GetSlot(&PyTuple_Type, Py_tp_new));
    const Ref args(PyTuple_New(1));
    if (!args) return nullptr;
    PyTuple_SetItem(args.get(), 0, made.Release());
    return new_tuple(AsType(model_.outputs), args.get(), nullptr);
  }

  const ModelObject& model_;
  const RTorchModelApi& api_;
  const std::size_t num_inputs_;
  const std::size_t num_outputs_;
  PyObject* given_ = Py_None;  // for the outputs
  Ref buffers_;                // given_ as a tuple
  Kind kind_;
  Array<PyObject*> objects_;  // of the inputs; borrowed
  Array<RTorchTensor> inputs_;
  Array<RTorchTensor> outputs_;
  Array<Borrowed> borrowed_;  // of inputs, then of outputs
};

PyObject* RunModel(PyObject* self, PyObject* const* args, Py_ssize_t num_args,
                   PyObject* names) {
  return Run(*As<ModelObject>(self))(args, num_args, names);
}

PyObject* Swap(PyObject* self, PyObject* args, PyObject* kwargs) {
  const ModelObject& model = *As<ModelObject>(self);
  PyObject* path = nullptr;
  const char* names[] = {"weights", nullptr};
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:swap", const_cast<char**>(names),
                                   &path)) {
    return nullptr;
  }
  Path weights_path;
  if (!weights_path.Set(path)) return nullptr;
  const RTorchWeights weights = WeightsAt(weights_path);
  RTorchError error;
  RTorchCode code = RTORCH_OK;
  {
    const WithoutLock others;
    code = model.api->swap(model.model, weights.path == nullptr ? nullptr : &weights,
                           &error);
  }
  return code == RTORCH_OK ? NewRef(Py_None) : Raise(error);
}

PyObject* Isa(PyObject* self, void*) {
  const ModelObject& model = *As<ModelObject>(self);
  return PyUnicode_FromString(model.api->isa(model.model));
}

PyObject* Repr(PyObject* self) {
  const RTorchModelApi& api = *As<ModelObject>(self)->api;
  return PyUnicode_FromFormat("<compiled model %s%s>", api.name, api.signature);
}

constexpr const char* kRunDoc =
    "run($self, *inputs, out=None, **named_inputs)\n--\n\n"
    "Runs the model once; other threads run meanwhile.\n\n"
    "Args:\n"
    "    inputs: Tensors, arrays or buffers, by position or name. They are only read;\n"
    "        what is not row-major contiguous is copied first.\n"
    "    out: Memory for the outputs: a tuple with an array or None for each, for\n"
    "        example what an earlier call returned; or the array of an only output.\n\n"
    "Returns:\n"
    "    A named tuple of the outputs: torch tensors where one came in, else numpy\n"
    "    arrays where one came in, else arrays of the library that an input is of, "
    "else\n"
    "    rtorch.Tensors.\n\n"
    "Raises:\n"
    "    ValueError: An argument is not what the model declares, or its data is not.\n"
    "    TypeError: It is no array, or there are too few or too many.\n"
    "    MemoryError, RuntimeError: The model failed.";

constexpr const char* kSwapDoc =
    "swap($self, /, weights)\n--\n\n"
    "Replaces the weights by those of a .safetensors file with the same names.\n\n"
    "Runs under way in other threads see the old ones, later runs the new ones. On\n"
    "failure the model is as before; None brings back those in the library.\n\n"
    "Raises:\n"
    "    FileNotFoundError: There is no such file.\n"
    "    OSError: It is cut short or was changed.\n"
    "    ValueError: It is not for this model.";

PyMethodDef methods[] = {
    {"run", Method(&RunModel), METH_FASTCALL | METH_KEYWORDS, kRunDoc},
    {"swap", Method(&Swap), METH_VARARGS | METH_KEYWORDS, kSwapDoc},
    {},
};

PyGetSetDef getters[] = {
    {"isa", &Isa, nullptr, "The instruction set in use: \"x86-64-v3\".", nullptr},
    {},
};

}  // namespace

bool InitModelType() {
  PyType_Slot slots[] = {
      {Py_tp_new, Slot(&New)},   {Py_tp_dealloc, Slot(&Dealloc)},
      {Py_tp_repr, Slot(&Repr)}, {Py_tp_methods, methods},
      {Py_tp_getset, getters},   {0, nullptr},
  };
  PyType_Spec spec = {"rtorch._native.Model", sizeof(ModelObject), 0,
                      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};
  model_type = AsType(PyType_FromSpec(&spec));
  return model_type != nullptr;
}

PyTypeObject* ModelType() { return model_type; }

}  // namespace rules_torch::python
