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

// The specification of the gradients, in gradients.c and attention_gradient.c.
void yk_strip_pack(const float *x, size_t row_stride, size_t rows, size_t width, size_t stride,
                   float *out);
void yk_panel_transpose(const float *panel, size_t count, size_t rows, float *out);
void yk_gelu_rows(yk_gelu kind, const float *x, size_t n, float *y);
void yk_gelu_gradient(yk_gelu kind, const float *x, const float *dy, size_t n, float *dx);
void yk_swiglu_gradient(const float *gate, const float *up, const float *dy, size_t n,
                        float *dgate, float *dup);
void yk_softmax_gradient(const float *y, const float *dy, size_t n, float *dx);
void yk_rms_norm_gradient(const float *x, const float *weight, float epsilon, const float *dy,
                          size_t n, float *dx, float *reciprocal);
void yk_layer_norm_gradient(const float *x, const float *weight, float epsilon, const float *dy,
                            size_t n, float *dx, float *mean, float *reciprocal);
void yk_norm_weight_gradient(const float *x, const float *dy, size_t row_stride,
                             const float *mean, const float *reciprocal, size_t rows, size_t n,
                             float *gradient);
void yk_bias_gradient(const float *dy, size_t row_stride, size_t rows, size_t n, float *gradient);
void yk_attention_tile_pack(const float *keys, const float *values, size_t key_stride,
                            size_t count, size_t head_dimension, float *tile);
void yk_attention_statistics(const yk_attention_gradient_job *job);
void yk_attention_gradient(const yk_attention_gradient_job *job);

// Rows of queries (position by position, in each the heads of the group) that the vector kernels of
// attention and of its gradients take at a time.
enum { YK_ATTENTION_ROWS = 96 };
// Keys whose gradients stay in scratch memory while all queries meet them: 256 at 64 elements.
static inline size_t yk_gradient_keys(size_t padded_dimension) {
  size_t keys = 16384 / padded_dimension / YK_KEY_TILE * YK_KEY_TILE;
  return keys < YK_KEY_TILE ? YK_KEY_TILE : keys;
}

// Range of the positions whose queries see a key of the tile that starts at `start`.
static inline size_t yk_tile_first_query(const yk_attention_gradient_job *job, size_t start) {
  return start > job->first_query ? start : job->first_query;
}
static inline size_t yk_tile_end_query(const yk_attention_gradient_job *job, size_t start) {
  size_t end = job->end_query;
  if (job->window && job->window < end && start + YK_KEY_TILE - 1 + job->window < end)
    end = start + YK_KEY_TILE - 1 + job->window;
  return end;
}

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

// gelu, tanh form: x / (1 + exp(-x (A + B x^2))), A = 2 sqrt(2 / pi), B = 0.044715 A.
#define YK_GELU_A 1.5957691216057308f
#define YK_GELU_B 0.07135481282941942f
#define YK_GELU_3B 0.21406443848825827f
// gelu, erf form: the normal distribution below -t is exp(-t^2 / 2) u P(u), u = 1 / (1 + t / 4);
// P was fitted over 0 <= t <= 14 for least relative error, 8e-9.
#define YK_NORMAL_DENSITY 0.3989422804014327f
#define YK_NORMAL_P9 0.016580150f
#define YK_NORMAL_P8 (-0.062794864f)
#define YK_NORMAL_P7 0.051658660f
#define YK_NORMAL_P6 0.028427518f
#define YK_NORMAL_P5 0.012718649f
#define YK_NORMAL_P4 0.086653305f
#define YK_NORMAL_P3 0.072000631f
#define YK_NORMAL_P2 0.095515466f
#define YK_NORMAL_P1 0.099492586f
#define YK_NORMAL_P0 0.099747902f

#endif
