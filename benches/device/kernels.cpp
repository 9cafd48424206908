// Turns what a program runs on an NVIDIA GPU into a list of its kernels and copies: how often and how long each ran.
//
// CUDA loads this library into any program that is started with CUDA_INJECTION64_PATH=libkernels.so, and it writes to
// $IMAGERAG_KERNELS: one line a kernel, "phase, times, microseconds, name" between tabs. A program that calls
// `kernels_mark(phase)` ends a phase; what is left is the phase `end`.

#include <cupti.h>
#include <cxxabi.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>

namespace {

struct Sum {
  unsigned long long times = 0, nanoseconds = 0;
};

constexpr size_t kBuffer = 8 << 20;
// ATen's templates have names of kilobytes, which differ early.
constexpr size_t kName = 200;
std::mutex mutex;
std::map<std::string, Sum> sums;

std::string readable(const char *name) {
  int status = 0;
  char *text = abi::__cxa_demangle(name, nullptr, nullptr, &status);
  std::string found = status == 0 ? text : name;
  std::free(text);
  return found.substr(0, kName);
}

void requested(uint8_t **buffer, size_t *size, size_t *records) {
  *buffer = static_cast<uint8_t *>(std::aligned_alloc(8, kBuffer));
  *size = *buffer ? kBuffer : 0;
  *records = 0;
}

void completed(CUcontext, uint32_t, uint8_t *buffer, size_t, size_t valid) {
  std::lock_guard<std::mutex> guard(mutex);
  CUpti_Activity *record = nullptr;
  while (cuptiActivityGetNextRecord(buffer, valid, &record) == CUPTI_SUCCESS) {
    std::string name;
    unsigned long long from = 0, to = 0;
    if (record->kind == CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) {
      auto *kernel = reinterpret_cast<CUpti_ActivityKernel10 *>(record);
      name = readable(kernel->name);
      from = kernel->start, to = kernel->end;
    } else if (record->kind == CUPTI_ACTIVITY_KIND_MEMCPY) {
      auto *copy = reinterpret_cast<CUpti_ActivityMemcpy6 *>(record);
      name = copy->copyKind == CUPTI_ACTIVITY_MEMCPY_KIND_HTOD   ? "copy from the host"
             : copy->copyKind == CUPTI_ACTIVITY_MEMCPY_KIND_DTOH ? "copy to the host"
                                                                 : "copy on the device";
      from = copy->start, to = copy->end;
    } else {
      continue;
    }
    Sum &sum = sums[name];
    sum.times += 1;
    sum.nanoseconds += to - from;
  }
  std::free(buffer);
}

}  // namespace

extern "C" void kernels_mark(const char *phase) {
  cuptiActivityFlushAll(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED);
  std::lock_guard<std::mutex> guard(mutex);
  const char *path = std::getenv("IMAGERAG_KERNELS");
  FILE *file = path ? std::fopen(path, "a") : nullptr;
  if (file) {
    for (const auto &[name, sum] : sums)
      std::fprintf(file, "%s\t%llu\t%.1f\t%s\n", phase, sum.times, sum.nanoseconds / 1e3, name.c_str());
    std::fclose(file);
  }
  sums.clear();
}

extern "C" int InitializeInjection() {
  if (cuptiActivityRegisterCallbacks(requested, completed) != CUPTI_SUCCESS) return 0;
  cuptiActivityEnable(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL);
  cuptiActivityEnable(CUPTI_ACTIVITY_KIND_MEMCPY);
  std::atexit([] { kernels_mark("end"); });
  return 1;
}
