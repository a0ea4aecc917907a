// What both AVX-512 variants do with instructions of their own.

static inline __attribute__((always_inline)) vf lookup16(vf table, vi index) {
  return ((vf)(_mm512_permutexvar_ps(((__m512i)(index)), ((__m512)(table)))));
}
static inline __attribute__((always_inline)) vf gather16(const float *table, vi index) {
  return ((vf)(_mm512_i32gather_ps(((__m512i)(index)), table, 4)));
}

// In assembly, because the compiler would load the number once for all its products.
static inline __attribute__((always_inline)) vf fma_memory(vf acc, vf w, const float *x) {
  __asm__("vfmadd231ps %2%{1to16%}, %1, %0" : "+v"(acc) : "v"(w), "m"(*x));
  return acc;
}
