/* The C ABI of a compiled PyTorch model.
 *
 * Everything that rules_torch generates is reached through one constant table,
 * RTorchModelApi. A program that links a `cc_torch_library` gets it wrapped in
 * a typed C++ class; a program that loads a `cc_torch_shared_library` asks the
 * library for it:
 *
 *   void* library = dlopen("libresnet.so", RTLD_NOW | RTLD_LOCAL);
 *   void* symbol = dlsym(library, RTORCH_ENTRY_POINT);
 *   RTorchGetModelApi get;
 *   memcpy(&get, &symbol, sizeof get);   // ISO C has no cast from void* to it
 *   const RTorchModelApi* api = get();   // check api->abi_version
 *
 * Plain C99, no dependency but <stdint.h>. No function here throws or prints, and none
 * ends the process but as said below; each one that can fail returns an RTorchCode and
 * fills an RTorchError. NULL for an argument that needs a value is INVALID_ARGUMENT.
 *
 * Unloading: dlclose is allowed once the library's models are destroyed and no run is
 * under way. Outputs may be held beyond it: `release` is gone then, but
 * `output.deleter(output.owner)` frees one still. libtorch itself is never unloaded.
 *
 * fork: both processes may run models afterwards, if no other thread was in `create` or
 * `run` during the fork, and the forking thread was in no OpenMP region. OpenMP keeps
 * threads for the forking thread; these end before the fork, and the next run starts
 * new ones. What the program's own OpenMP code has in `threadprivate` variables of such
 * threads is lost. Models with `threads = "none"` start no threads.
 *
 * Memory: where there is none for a tensor, the code is RESOURCE_EXHAUSTED, and the
 * model can be run again. Libraries beneath it still end the process where OpenMP
 * cannot start a thread, and where oneDNN (convolutions, LSTMs) or a parallel loop
 * cannot get a few kilobytes.
 */
#ifndef RULES_TORCH_ABI_H_
#define RULES_TORCH_ABI_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Grows when a layout or a meaning below changes; compare before use. */
#define RTORCH_ABI_VERSION 2u

/* Highest rank of an input or output tensor. */
#define RTORCH_MAX_RANK 8

/* Longest error message, with its terminating zero; longer ones are cut. */
#define RTORCH_MAX_MESSAGE 1024

/* Element types. The values are those of c10::ScalarType. */
typedef enum RTorchDType {
  RTORCH_UINT8 = 0,
  RTORCH_INT8 = 1,
  RTORCH_INT16 = 2,
  RTORCH_INT32 = 3,
  RTORCH_INT64 = 4,
  RTORCH_FLOAT16 = 5, /* IEEE 754 binary16 */
  RTORCH_FLOAT32 = 6,
  RTORCH_FLOAT64 = 7,
  RTORCH_BOOL = 11, /* one byte, 0 or 1 */
  RTORCH_BFLOAT16 = 15
} RTorchDType;

/* The values are those of absl::StatusCode. */
typedef enum RTorchCode {
  RTORCH_OK = 0,
  RTORCH_INVALID_ARGUMENT = 3,   /* the message names the argument */
  RTORCH_RESOURCE_EXHAUSTED = 8, /* out of memory */
  RTORCH_UNIMPLEMENTED = 12,     /* not compiled for this CPU or GPU */
  RTORCH_INTERNAL = 13,          /* the model, its runtime or a driver failed */
  RTORCH_UNAVAILABLE = 14        /* no GPU or no driver that can be used */
} RTorchCode;

typedef struct RTorchError {
  RTorchCode code;
  char message[RTORCH_MAX_MESSAGE];
} RTorchError;

/* A strided tensor in host memory: element [i, j, ...] lies at
 * data + (i * strides[0] + j * strides[1] + ...) elements. */
typedef struct RTorchTensor {
  void* data;    /* aligned for its element type; may be NULL if empty */
  int32_t dtype; /* an RTorchDType */
  int32_t rank;
  int64_t sizes[RTORCH_MAX_RANK];
  int64_t strides[RTORCH_MAX_RANK]; /* in elements; may be 0 or negative */

  /* Set by `run` on memory that it allocated, otherwise NULL. The memory
   * belongs to whoever holds the tensor, and outlives the model and its library. */
  void* owner;
  void (*deleter)(void* owner); /* thread-safe */
} RTorchTensor;

/* One dimension of a declared shape: `scale * symbol + offset`, and between
 * `min` and `max`. A fixed one has symbol -1 and min == max; an output
 * dimension whose size only the run can tell has symbol -2. */
typedef struct RTorchDim {
  int64_t min;
  int64_t max;    /* INT64_MAX: unbounded */
  int32_t symbol; /* index into RTorchModelApi.symbols; equal symbols, equal sizes */
  int64_t scale;
  int64_t offset;
} RTorchDim;

/* A declared input or output. */
typedef struct RTorchTensorSpec {
  const char* name;
  const char* type; /* for people: "float32[batch, 3, 224, 224]" */
  int32_t dtype;
  int32_t rank;
  const RTorchDim* dims;
} RTorchTensorSpec;

/* An instance of a model: its mutable buffers, and handles to its weights. */
typedef struct RTorchModel RTorchModel;

typedef struct RTorchModelApi {
  uint32_t abi_version;  /* RTORCH_ABI_VERSION of the library */
  const char* name;      /* the target's label, "//models:resnet" */
  const char* signature; /* "(image: float32[batch, 3, 224, 224]) -> ..." */

  int32_t num_inputs;
  int32_t num_outputs;
  int32_t num_symbols;
  int32_t stateful; /* 1: the model mutates buffers of its own */
  const RTorchTensorSpec* inputs;
  const RTorchTensorSpec* outputs;
  const char* const* symbols; /* names of the dynamic dimensions */
  uint64_t weights_size;      /* bytes of read-only data, used where they lie */

  /* Makes an instance with its buffers in their initial state. Cheap: weights
   * are not copied. `error` may be NULL here and below.
   *
   * Of the instruction sets that the library was compiled for, takes the highest
   * that the CPU has; UNIMPLEMENTED where it has none. The environment variable
   * RTORCH_ISA ("x86-64-v2") names the highest that may be taken. */
  RTorchCode (*create)(const struct RTorchModelApi* api, RTorchModel** model,
                       RTorchError* error);

  /* No `run` of this instance may be under way. NULL is allowed. */
  void (*destroy)(RTorchModel* model);

  /* Runs the model once, in the calling thread and the OpenMP threads that it
   * starts, if any.
   *
   * inputs:  read only, never kept. One that is not row-major contiguous is
   *          first copied.
   * outputs: where `data` is NULL on entry, the result is allocated: data,
   *          dtype, rank, sizes, strides (row-major contiguous), owner and
   *          deleter are set, and the caller frees it with `release`. Where
   *          `data` is set, the result is written there; dtype, rank, sizes
   *          and strides must be set too and fit the result, and the memory
   *          must overlap no input and no other output.
   *
   * On failure nothing is allocated, buffers of the caller may have been
   * partly written, and outputs that were NULL are NULL. The state of a stateful
   * instance may have changed in part: destroy it, and create another.
   *
   * May be called from many threads at once. Runs of a stateful instance wait
   * for one another; other runs do not. */
  RTorchCode (*run)(const RTorchModel* model, const RTorchTensor* inputs,
                    int32_t num_inputs, RTorchTensor* outputs, int32_t num_outputs,
                    RTorchError* error);

  /* Frees what `run` allocated for this output, and clears it. NULL is allowed. */
  void (*release)(RTorchTensor* output);

  /* The instruction set that an instance uses, "x86-64-v3"; a constant. "" for
   * NULL. */
  const char* (*isa)(const RTorchModel* model);

  const void* definition; /* private to the library */
} RTorchModelApi;

/* The symbol that every cc_torch_shared_library exports, and its type. */
#define RTORCH_ENTRY_POINT "rtorch_model_api"
typedef const RTorchModelApi* (*RTorchGetModelApi)(void);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* RULES_TORCH_ABI_H_ */
