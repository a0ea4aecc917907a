#ifndef YUYAN_KERNELS_INTERNAL_H
#define YUYAN_KERNELS_INTERNAL_H

#include "yuyan_kernels.h"
#define memcpy __builtin_memcpy
#define memset __builtin_memset

extern const yk_kernels yk_scalar_kernels;
#if defined(__x86_64__)
extern const yk_kernels yk_avx2_kernels;
extern const yk_kernels yk_avx512_kernels;
extern const yk_kernels yk_avx512_vnni_kernels;
#endif
#if defined(__aarch64__)
extern const yk_kernels yk_neon_kernels;
#endif

// The columns of a block that step s multiplies: pairs (first, first + 2), in the order in which
// the nibbles of a Q4 block fall out of shifts and masks of 16-bit halves.
static inline size_t yk_step_column(size_t step) {
  size_t j = step >> 2, i = step & 3;
  return 4 * j + 16 * (i & 1) + (i >> 1);
}

static inline int yk_is_float(yk_format f) { return f <= YK_BF16; }
static inline int yk_has_minimum(yk_format f) {
  return f == YK_Q4_1 || f == YK_Q5_1 || f == YK_Q4_K || f == YK_Q5_K;
}
static inline int yk_is_k(yk_format f) { return f >= YK_Q4_K && f <= YK_Q6_K; }
static inline int yk_is_code4(yk_format f) { return f >= YK_NF4; }
static inline int yk_is_nested(yk_format f) { return f == YK_NF4_NESTED || f == YK_FP4_NESTED; }
static inline int yk_has_nibbles(yk_format f) {
  return f == YK_Q4_0 || f == YK_Q4_1 || f == YK_Q4_K || f == YK_Q5_0 || f == YK_Q5_1 ||
         f == YK_Q5_K;
}
static inline int yk_has_fifth_bit(yk_format f) {
  return f == YK_Q5_0 || f == YK_Q5_1 || f == YK_Q5_K;
}
// What is subtracted from the stored codes.
static inline int yk_code_offset(yk_format f) { return f == YK_Q4_0 ? 8 : f == YK_Q5_0 ? 16 : 0; }

void yk_unpack_block(yk_format format, const uint8_t *panel, const yk_panel_layout *layout,
                     size_t lane, size_t block, float *out);

yk_panel_layout yk_code4_layout(yk_format format, size_t columns);
void yk_pack_code4_row(yk_format format, const uint8_t *row, size_t columns,
                       const yk_panel_layout *layout, size_t lane, uint8_t *panel);
float yk_code4_scale(yk_format format, const uint8_t *panel, const yk_panel_layout *layout,
                     size_t lane, size_t block);
float yk_code4_value(yk_format format, const uint8_t *panel, const yk_panel_layout *layout,
                     size_t lane, size_t column);

void yk_store_kv(yk_kv_type type, const float *key, const float *value, size_t head_dimension,
                 size_t slot, uint8_t *keys, uint8_t *values, float *key_scales,
                 float *value_scales);

void yk_sampling_exp(const float *x, float maximum, float divisor, size_t n, float *y);
void yk_key_range(const float *x, size_t n, int32_t *lowest, int32_t *highest);

// The expanded panel that lies `index` panels on.
static inline yk_expanded16 yk_panel_of(yk_expanded16 weights, size_t index) {
  size_t bytes = index * weights.panel_bytes;
  yk_expanded16 panel = {(int16_t *)(void *)((char *)weights.codes + bytes),
                         (float *)(void *)((char *)weights.scale + bytes),
                         (float *)(void *)((char *)weights.minimum + bytes), weights.panel_bytes};
  return panel;
}

#define YK_LN2_HI 0.693359375f
#define YK_LN2_LO (-2.12194440e-4f)
#define YK_LOG2E 1.44269504088896341f
#define YK_EXP_LOW (-87.3f)
#define YK_EXP_HIGH 88.72283f
#define YK_EXP_C5 1.9875691500e-4f
#define YK_EXP_C4 1.3981999507e-3f
#define YK_EXP_C3 8.3334519073e-3f
#define YK_EXP_C2 4.1665795894e-2f
#define YK_EXP_C1 1.6666665459e-1f
#define YK_EXP_C0 5.0000001201e-1f

#endif
