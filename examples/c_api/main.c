/* Loads a compiled classifier at run time and runs it, in C99:
 *
 *   c_api [LIBRARY]
 *
 * LIBRARY is a cc_torch_shared_library of a model from one picture
 * float32[batch, 3, height, width] to scores float32[batch, classes]; the default is
 * //models:resnet_so. Exits with 0, with 1 after a failure, with 2 if called wrongly.
 */
#define _POSIX_C_SOURCE 200112L
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rules_torch/abi.h"
#include "rules_torch/loader.h"

/* Bazel puts the files in `data` into a folder beside the program. */
static const char* default_library(void) {
  static char path[4096];
  const char* const runfiles = ".runfiles/" DEFAULT_LIBRARY;
  const ssize_t length =
      readlink("/proc/self/exe", path, sizeof path - strlen(runfiles) - 1);
  strcpy(path + (length < 0 ? 0 : length), runfiles);
  return path;
}

static void describe(const RTorchModelApi* api) {
  printf("%s\n", api->name);
  printf("  signature: %s\n", api->signature);
  printf("  weights: %" PRIu64 " bytes\n", api->weights_size);
  for (int32_t i = 0; i < api->num_inputs; ++i) {
    printf("  input %s: %s\n", api->inputs[i].name, api->inputs[i].type);
  }
  for (int32_t i = 0; i < api->num_outputs; ++i) {
    printf("  output %s: %s\n", api->outputs[i].name, api->outputs[i].type);
  }
}

/* Whether the model is the kind that this program knows how to run. */
static int is_classifier(const RTorchModelApi* api) {
  return api->num_inputs == 1 && api->num_outputs == 1 &&
         api->inputs[0].dtype == RTORCH_FLOAT32 && api->inputs[0].rank == 4 &&
         api->outputs[0].dtype == RTORCH_FLOAT32 && api->outputs[0].rank == 2;
}

/* Classifies a synthetic picture. Returns an RTorchCode. */
static RTorchCode classify(const RTorchModelApi* api, const RTorchModel* model,
                           RTorchError* error) {
  const RTorchDim* dims = api->inputs[0].dims;
  const int64_t sizes[] = {1, dims[1].min, dims[2].min, dims[3].min};
  const size_t size = (size_t)(sizes[1] * sizes[2] * sizes[3]);
  float* pixels = malloc(size * sizeof *pixels);
  if (pixels == NULL) {
    strcpy(error->message, "out of memory");
    return error->code = RTORCH_RESOURCE_EXHAUSTED;
  }
  for (size_t i = 0; i < size; ++i) pixels[i] = (float)(i % 251) / 125.0f - 1.0f;
  const RTorchTensor image = rtorch_host_tensor(pixels, RTORCH_FLOAT32, 4, sizes);

  RTorchTensor scores = {0}; /* data is NULL: the model allocates */
  const RTorchCode code = api->run(model, &image, 1, &scores, 1, NULL, error);
  if (code == RTORCH_OK) {
    const float* data = scores.data;
    int64_t best = 0;
    for (int64_t i = 1; i < scores.sizes[1]; ++i) {
      if (data[i] > data[best]) best = i;
    }
    printf("best of %" PRId64 " classes: %" PRId64 ", score %.3f\n", scores.sizes[1],
           best, data[best]);
    api->release(&scores);
  }
  free(pixels);
  return code;
}

int main(int argc, char** argv) {
  if (argc > 2) {
    fprintf(stderr, "usage: c_api [LIBRARY]\n");
    return 2;
  }
  /* `bazel run` starts programs in another folder than it was called in. */
  const char* directory = getenv("BUILD_WORKING_DIRECTORY");
  if (argc == 2 && directory != NULL && chdir(directory) != 0) {
    perror("c_api: BUILD_WORKING_DIRECTORY");
    return 1;
  }
  const char* path = argc == 2 ? argv[1] : default_library();
  RTorchLibrary library;
  RTorchError error;
  if (rtorch_open_library(path, &library, &error) != RTORCH_OK) {
    fprintf(stderr, "c_api: %s: %s\n", path, error.message);
    return 1;
  }
  const RTorchModelApi* api = library.api;
  describe(api);
  if (!is_classifier(api)) {
    fprintf(stderr, "c_api: the model is no classifier of pictures\n");
    rtorch_close_library(&library);
    return 1;
  }

  RTorchModel* model = NULL;
  if (api->create(api, NULL, &model, &error) != RTORCH_OK ||
      classify(api, model, &error) != RTORCH_OK) {
    fprintf(stderr, "c_api: %s\n", error.message);
    api->destroy(model);
    rtorch_close_library(&library);
    return 1;
  }

  /* Wrong arguments are errors with a message, never a crash. */
  float grey[16] = {0};
  const int64_t sizes[] = {1, 1, 4, 4};
  const RTorchTensor wrong = rtorch_host_tensor(grey, RTORCH_FLOAT32, 4, sizes);
  RTorchTensor scores = {0};
  if (api->run(model, &wrong, 1, &scores, 1, NULL, &error) != RTORCH_OK) {
    printf("a grey 4 x 4 picture: %s\n", error.message);
  }
  api->destroy(model);
  rtorch_close_library(&library);
  return 0;
}
