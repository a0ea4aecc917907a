// Table look-ups of 16 lanes, for both AVX-512 variants.

static inline __attribute__((always_inline)) vf lookup16(vf table, vi index) {
  return ((vf)(_mm512_permutexvar_ps(((__m512i)(index)), ((__m512)(table)))));
}
static inline __attribute__((always_inline)) vf gather16(const float *table, vi index) {
  return ((vf)(_mm512_i32gather_ps(((__m512i)(index)), table, 4)));
}
