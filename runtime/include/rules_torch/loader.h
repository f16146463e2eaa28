/* Loads what cc_torch_shared_library makes: header-only, for C99 and C++.
 *
 *   RTorchLibrary resnet;
 *   RTorchError error;
 *   if (rtorch_open_library("libresnet.so", &resnet, &error) != RTORCH_OK) {
 *     fprintf(stderr, "%s\n", error.message);
 *     return 1;
 *   }
 *   RTorchModel* model = NULL;
 *   if (resnet.api->create(resnet.api, NULL, &model, &error) != RTORCH_OK) ...
 *   const int64_t sizes[] = {1, 3, 224, 224};
 *   RTorchTensor image = rtorch_host_tensor(pixels, RTORCH_FLOAT32, 4, sizes);
 *   RTorchTensor scores = {0};
 *   if (resnet.api->run(model, &image, 1, &scores, 1, NULL, &error) != RTORCH_OK) ...
 *   resnet.api->release(&scores);
 *   resnet.api->destroy(model);
 *   rtorch_close_library(&resnet);
 *
 * All that a model does is a function of its table, which rules_torch/abi.h documents:
 * `create` refuses CPUs that the library was not compiled for, and `run` tensors of
 * other dtypes, devices and sizes, each with a message.
 *
 * POSIX. Links with -ldl where the C library has dlopen in another. The functions may
 * be called from many threads, with different libraries.
 */
#ifndef RULES_TORCH_LOADER_H_
#define RULES_TORCH_LOADER_H_

#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "rules_torch/abi.h"
#include "rules_torch/host_tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A library that is open. */
typedef struct RTorchLibrary {
  void* handle; /* dlopen's */
  const RTorchModelApi* api;
} RTorchLibrary;

static inline RTorchCode rtorch_fail_to_open(void* handle, RTorchError* error,
                                             RTorchCode code, const char* message) {
  if (error != NULL) {
    error->code = code;
    snprintf(error->message, sizeof error->message, "%s", message);
  }
  if (handle != NULL) dlclose(handle);
  return code;
}

/* The machine that an ELF file is for, by its number; -1 for other files. */
static inline int rtorch_elf_machine(const char* path) {
  unsigned char header[20];
  FILE* const file = fopen(path, "rb");
  size_t size = 0;
  if (file != NULL) {
    size = fread(header, 1, sizeof header, file);
    fclose(file);
  }
  if (size != sizeof header || memcmp(header, "\177ELF", 4) != 0) return -1;
  /* The file says its byte order, 2 for big-endian. */
  return header[5] == 2 ? header[18] << 8 | header[19] : header[19] << 8 | header[18];
}

/* Opens a library, as dlopen finds it: a path with a `/`, or a name that is looked up.
 *
 * NOT_FOUND: there is none, or one that this process cannot load, such as one whose
 * libtorch is missing; the message is the loader's. INVALID_ARGUMENT: it is no compiled
 * model. UNIMPLEMENTED: it is built for another kind of CPU (told of paths with a `/`,
 * on Linux), or has another version of rules_torch's C ABI. On failure nothing stays
 * loaded, and `library` has NULLs. `error` may be NULL. */
static inline RTorchCode rtorch_open_library(const char* path, RTorchLibrary* library,
                                             RTorchError* error) {
  char message[RTORCH_MAX_MESSAGE];
  void* handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  void* symbol;
  RTorchGetModelApi get;
  const RTorchModelApi* api;
  library->handle = NULL;
  library->api = NULL;
  if (handle == NULL) {
    const char* reason = dlerror();
    const size_t length = strlen(path);
    const int wanted = rtorch_elf_machine("/proc/self/exe");
    const int found = strchr(path, '/') == NULL ? -1 : rtorch_elf_machine(path);
    /* Of such a file glibc says that there is none. */
    if (wanted != -1 && found != -1 && found != wanted) {
      snprintf(message, sizeof message,
               "it is built for another kind of CPU, ELF machine %d, and this program "
               "is for %d; build it for this platform",
               found, wanted);
      return rtorch_fail_to_open(NULL, error, RTORCH_UNIMPLEMENTED, message);
    }
    /* Mostly the path comes first, which the caller knows. */
    if (strncmp(reason, path, length) == 0 && strncmp(reason + length, ": ", 2) == 0) {
      reason += length + 2;
    }
    return rtorch_fail_to_open(NULL, error, RTORCH_NOT_FOUND, reason);
  }
  symbol = dlsym(handle, RTORCH_ENTRY_POINT);
  if (symbol == NULL) {
    return rtorch_fail_to_open(
        handle, error, RTORCH_INVALID_ARGUMENT,
        "no compiled model: it does not export " RTORCH_ENTRY_POINT
        ", as what cc_torch_shared_library makes does");
  }
  memcpy(&get, &symbol, sizeof get); /* ISO C has no cast from void* to it */
  api = get();
  /* The version is what all versions of the table begin with. */
  if (api->abi_version != RTORCH_ABI_VERSION) {
    snprintf(message, sizeof message,
             "it has version %u of rules_torch's C ABI, and this program knows %u; "
             "build both with one rules_torch",
             (unsigned)api->abi_version, RTORCH_ABI_VERSION);
    return rtorch_fail_to_open(handle, error, RTORCH_UNIMPLEMENTED, message);
  }
  if (api->struct_size < offsetof(RTorchModelApi, definition)) {
    snprintf(
        message, sizeof message, "its table has %u bytes, and this program needs %u",
        (unsigned)api->struct_size, (unsigned)offsetof(RTorchModelApi, definition));
    return rtorch_fail_to_open(handle, error, RTORCH_UNIMPLEMENTED, message);
  }
  library->handle = handle;
  library->api = api;
  return RTORCH_OK;
}

/* Closes a library whose models are destroyed; one that is not open is left alone. */
static inline void rtorch_close_library(RTorchLibrary* library) {
  if (library->handle != NULL) dlclose(library->handle);
  library->handle = NULL;
  library->api = NULL;
}

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* RULES_TORCH_LOADER_H_ */
