// Which instruction set to use, decided when the program runs.

#include "internal.h"

#if defined(__x86_64__)
static int has_avx2(void) {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("f16c");
}
static int has_avx512(void) {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}
#endif

const yk_kernels *yk_kernels_for(yk_isa isa) {
  switch (isa) {
  case YK_ISA_SCALAR: return &yk_scalar_kernels;
#if defined(__x86_64__)
  case YK_ISA_AVX2: return has_avx2() ? &yk_avx2_kernels : NULL;
  case YK_ISA_AVX512: return has_avx512() ? &yk_avx512_kernels : NULL;
  case YK_ISA_AVX512_VNNI:
    return has_avx512() && __builtin_cpu_supports("avx512vnni") ? &yk_avx512_vnni_kernels : NULL;
#endif
#if defined(__aarch64__)
  case YK_ISA_NEON: return &yk_neon_kernels;
#endif
  default: return NULL;
  }
}

yk_isa yk_best_isa(void) {
  for (int isa = YK_ISA_AVX512_VNNI; isa > YK_ISA_SCALAR; isa--)
    if (yk_kernels_for((yk_isa)isa)) return (yk_isa)isa;
  return YK_ISA_SCALAR;
}
