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
 * Growth: structs that begin with `struct_size` get new members at their end. Whoever
 * fills one sets it to the struct's size, as compiled there, and zeroes the rest;
 * whoever reads one reads no member beyond it. Bits of `flags` and words called
 * `reserved` that have no meaning here are 0. All other layouts stay as they are while
 * RTORCH_ABI_VERSION does.
 *
 * Unloading: dlclose is allowed once the library's models are destroyed and no run is
 * under way. Outputs may be held beyond it: `release` is gone then, but
 * `output.deleter(output.owner)` frees one still. libtorch itself is never unloaded.
 *
 * fork: both processes may run models afterwards, if no other thread was in `create`,
 * `swap` or `run` during the fork, and the forking thread was in no OpenMP region.
 * OpenMP keeps threads for the forking thread; these end before the fork, and the next
 * run starts new ones. What the program's own OpenMP code has in `threadprivate`
 * variables of such threads is lost. Models with `threads = "none"` start no threads.
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

/* Grows when a layout or a meaning below changes otherwise than by an appended member;
 * compare before use. */
#define RTORCH_ABI_VERSION 3u

/* Highest rank of an input or output tensor. */
#define RTORCH_MAX_RANK 8

/* Longest error message, with its terminating zero; longer ones are cut. */
#define RTORCH_MAX_MESSAGE 1024

/* Element types. The values are those of c10::ScalarType. */
typedef int32_t RTorchDType;
enum {
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
};

/* Kinds of memory. The values are those of DLPack's DLDeviceType. */
typedef int32_t RTorchDeviceType;
enum {
  RTORCH_CPU = 1,
  RTORCH_CUDA = 2,
  RTORCH_CUDA_HOST = 3, /* host memory that a GPU reaches */
  RTORCH_ROCM = 10
};

/* The values are those of absl::StatusCode. */
typedef int32_t RTorchCode;
enum {
  RTORCH_OK = 0,
  RTORCH_CANCELLED = 1,          /* RTorchRunOptions.cancelled said so */
  RTORCH_INVALID_ARGUMENT = 3,   /* the message names the argument */
  RTORCH_NOT_FOUND = 5,          /* no such file */
  RTORCH_RESOURCE_EXHAUSTED = 8, /* out of memory */
  RTORCH_UNIMPLEMENTED = 12,     /* not compiled for this CPU, GPU or option */
  RTORCH_INTERNAL = 13,          /* the model, its runtime or a driver failed */
  RTORCH_UNAVAILABLE = 14,       /* no GPU or no driver that can be used */
  RTORCH_DATA_LOSS = 15          /* a weights file is cut short or was changed */
};

typedef struct RTorchError {
  RTorchCode code;
  char message[RTORCH_MAX_MESSAGE];
} RTorchError;

/* Where memory is: DLPack's DLDevice. Host memory is {RTORCH_CPU, 0}. */
typedef struct RTorchDevice {
  RTorchDeviceType type;
  int32_t index;
} RTorchDevice;

/* A strided tensor: element [i, j, ...] lies at
 * data + (i * strides[0] + j * strides[1] + ...) elements. */
typedef struct RTorchTensor {
  void* data; /* aligned for its element type; may be NULL if empty */
  RTorchDType dtype;
  int32_t rank;
  RTorchDevice device;
  int64_t sizes[RTORCH_MAX_RANK];
  int64_t strides[RTORCH_MAX_RANK]; /* in elements; may be 0 or negative */

  /* Set by `run` on memory that it allocated, otherwise NULL. The memory
   * belongs to whoever holds the tensor, and outlives the model and its library. */
  void* owner;
  void (*deleter)(void* owner); /* thread-safe */
  uint64_t reserved[2];
} RTorchTensor;

/* A dynamic size of a model, and its range. */
typedef struct RTorchSymbol {
  const char* name;
  int64_t min;
  int64_t max; /* INT64_MAX: unbounded */
} RTorchSymbol;

/* One dimension of a declared shape: `scale * symbol + offset`, and between
 * `min` and `max`. A fixed one has symbol -1 and min == max; an output
 * dimension whose size only the run can tell has symbol -2. */
typedef struct RTorchDim {
  int64_t min;
  int64_t max; /* INT64_MAX: unbounded */
  int64_t scale;
  int64_t offset;
  int32_t symbol; /* index into RTorchModelApi.symbols; equal symbols, equal sizes */
  int32_t reserved;
} RTorchDim;

/* A declared input or output. */
typedef struct RTorchTensorSpec {
  const char* name;
  const char* type; /* for people: "float32[batch, 3, 224, 224]" */
  RTorchDType dtype;
  int32_t rank;
  const RTorchDim* dims;
  uint64_t reserved[2];
} RTorchTensorSpec;

/* A parameter or buffer of the model. */
typedef struct RTorchWeightSpec {
  const char* name; /* as in the module's state dict: "layer1.0.conv1.weight" */
  RTorchDType dtype;
  int32_t rank;
  const int64_t* sizes;
  const int64_t* strides; /* in elements, as the kernels want them; without a meaning
                           * where they want it packed */
  uint64_t offset;        /* of its first byte in the data of the build's own weights */
  uint64_t bytes;
  int32_t is_mutable; /* 1: the model's state; each instance has a copy */
  int32_t packing;    /* 0: as the strides say; else a layout of the kernels' own */
} RTorchWeightSpec;

/* A call of a kernel or an operator that a run makes, any number of times. Texts are
 * UTF-8, and constant for a model whose lines move. */
typedef struct RTorchStep {
  const char* name;      /* the kernel's symbol without the model's prefix, or the
                          * runtime's function */
  const char* operators; /* what it computes: "aten.convolution, aten.relu" */
  const char* source;    /* the model's lines: "models/mlp.py: x = self.relu(x)" */
} RTorchStep;

/* What a library was made of; texts, constant for the same inputs. */
typedef struct RTorchBuild {
  const char* torch;       /* the version of PyTorch: "2.13.0+cpu" */
  const char* rules_torch; /* the version of rules_torch */
  const char* model;       /* a digest of the exported graph, without its weights */
} RTorchBuild;

/* Gives memory for outputs, in place of aligned_alloc. */
typedef struct RTorchAllocator {
  uint32_t struct_size;
  uint32_t reserved;
  void* context;
  /* Gives `tensor`, whose dtype, rank, device, sizes and row-major strides are set,
   * `bytes` bytes of its device's memory, aligned to `alignment`, a power of two: sets
   * data, which is not NULL even where there are no elements, owner and deleter, or
   * returns RESOURCE_EXHAUSTED. Thread-safe; must not throw. */
  RTorchCode (*allocate)(void* context, uint64_t bytes, uint64_t alignment,
                         RTorchTensor* tensor);
} RTorchAllocator;

/* Where a model's weights are: in a .safetensors file, which is mapped, so that all
 * processes share one copy, or in memory that holds one.
 *
 * Every weight of the model must be there by name, with its dtype and sizes. A file
 * that a build made (`cc_torch_library`'s output group `torch_weights`) is used where
 * it lies, and checked against the digests in it; of another, a weight whose elements
 * are laid out otherwise than the kernels want them is copied. Names that the model
 * does not have are ignored in files that no build made. */
typedef struct RTorchWeights {
  uint32_t struct_size;
  uint32_t flags;
  const char* path; /* or NULL, then: */
  const void* data; /* must not change while it is used */
  uint64_t size;

  /* Called once, from any thread, when nothing uses `data` any more; NULL: the caller
   * keeps it as long as the model. Where the call that it is given to fails, it stays
   * the caller's. */
  void (*deleter)(void* owner);
  void* owner;
} RTorchWeights;

typedef struct RTorchCreateOptions {
  uint32_t struct_size;
  int32_t threads;     /* of a call; 0: as the library was compiled */
  RTorchDevice device; /* {0, 0}: the first of the kind that the model is for */
  const RTorchWeights* weights;     /* NULL: those in the library */
  const RTorchAllocator* allocator; /* NULL: aligned_alloc; must outlive the model */
} RTorchCreateOptions;

/* Told of each step of a run, in the thread that calls `run`: one after another, and of
 * the end of one that fails, too. Its functions must not throw. */
typedef struct RTorchTracer {
  uint32_t struct_size;
  uint32_t reserved;
  void* context;
  void (*begin)(void* context, const RTorchStep* step);
  void (*end)(void* context, const RTorchStep* step);
} RTorchTracer;

typedef struct RTorchRunOptions {
  uint32_t struct_size;
  uint32_t flags;
  void* stream; /* of a GPU's; NULL for models on the CPU */
  const RTorchTracer* tracer;

  /* Asked before the run and before each of its steps; what is not 0 ends it with
   * CANCELLED. Must not throw. */
  int32_t (*cancelled)(void* context);
  void* cancel_context;
} RTorchRunOptions;

/* An instance of a model: its mutable buffers, and a share of its weights. */
typedef struct RTorchModel RTorchModel;

/* Arguments called `error`, and those of options, may be NULL. */
typedef struct RTorchModelApi {
  uint32_t abi_version;  /* RTORCH_ABI_VERSION of the library */
  uint32_t struct_size;  /* of this struct, in the library */
  const char* name;      /* the target's label, "//models:resnet" */
  const char* signature; /* "(image: float32[batch, 3, 224, 224]) -> ..." */

  int32_t num_inputs;
  int32_t num_outputs;
  int32_t num_symbols;
  int32_t num_weights;
  int32_t num_steps;
  int32_t stateful;             /* 1: the model mutates buffers of its own */
  RTorchDeviceType device_type; /* the memory of inputs and outputs */
  int32_t reserved;
  const RTorchTensorSpec* inputs;
  const RTorchTensorSpec* outputs;
  const RTorchSymbol* symbols; /* the dynamic sizes */
  const RTorchWeightSpec* weights;
  const RTorchStep* steps; /* of all instruction sets */
  uint64_t weights_size;   /* bytes of all weights */

  /* A digest of the weights that the build had; "" if they are not in the library. */
  const char* weights_fingerprint;
  const RTorchBuild* build;

  /* Makes an instance with its buffers in their initial state. Cheap where an instance
   * with the same weights is alive; else the weights are checked if they are not the
   * library's own, and never copied but as RTorchWeights says.
   *
   * Of the instruction sets that the library was compiled for, takes the highest
   * that the CPU has; UNIMPLEMENTED where it has none. The environment variable
   * RTORCH_ISA ("x86-64-v2") names the highest that may be taken. */
  RTorchCode (*create)(const struct RTorchModelApi* api,
                       const RTorchCreateOptions* options, RTorchModel** model,
                       RTorchError* error);

  /* No other call with this instance may be under way. NULL is allowed. */
  void (*destroy)(RTorchModel* model);

  /* Runs the model once, in the calling thread and the OpenMP threads that it
   * starts, if any.
   *
   * inputs:  read only, never kept. One that is not row-major contiguous is
   *          first copied.
   * outputs: where `data` is NULL on entry, the result is allocated: data,
   *          dtype, rank, device, sizes, strides (row-major contiguous), owner and
   *          deleter are set, and the caller frees it with `release`. Where
   *          `data` is set, the result is written there; dtype, rank, device, sizes
   *          and strides must be set too and fit the result, no two elements may be
   *          one, and the memory must overlap no other output. The model computes the
   *          result there, without a copy, if it is row-major contiguous and overlaps
   *          no input, and if the result is not made by an operator that allocates it,
   *          nor part of another tensor.
   *
   * On failure nothing is allocated, buffers of the caller may have been
   * partly written, and outputs that were NULL are NULL. The state of a stateful
   * instance may have changed in part: destroy it, and create another.
   *
   * May be called from many threads at once. Runs of a stateful instance wait
   * for one another; other runs do not. */
  RTorchCode (*run)(const RTorchModel* model, const RTorchTensor* inputs,
                    int32_t num_inputs, RTorchTensor* outputs, int32_t num_outputs,
                    const RTorchRunOptions* options, RTorchError* error);

  /* Frees what `run` allocated for this output, and clears it. NULL is allowed. */
  void (*release)(RTorchTensor* output);

  /* Replaces the weights of an instance; buffers that the model mutates keep their
   * values. May be called while other threads run it: each run sees the old weights or
   * the new ones, never both. Returns when the last run with the old ones has ended. On
   * failure the instance is as before. */
  RTorchCode (*swap)(RTorchModel* model, const RTorchWeights* weights,
                     RTorchError* error);

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
