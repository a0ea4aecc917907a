#ifndef YUYAN_KERNELS_H
#define YUYAN_KERNELS_H

#include <stddef.h>
#include <stdint.h>

// Leaf loops of Yuyan. No allocation, no threads, no errors: Swift checks the arguments first.
//
// Weights are stored in panels of YK_PANEL rows (output features), interleaved so that one vector
// holds the same column of every row. The order in which an output element is reduced is part of
// each function's definition (docs/numerics.md); every variant of a function gives the same bits.

enum { YK_PANEL = 16, YK_BLOCK = 32, YK_STEPS = 16, YK_KEY_TILE = 32, YK_CODE4_BLOCK = 64 };

typedef enum yk_isa {
  YK_ISA_SCALAR = 0,
  YK_ISA_NEON = 1,
  YK_ISA_AVX2 = 2,
  YK_ISA_AVX512 = 3,
  YK_ISA_AVX512_VNNI = 4
} yk_isa;

typedef enum yk_format {
  YK_F32, YK_F16, YK_BF16,
  YK_Q4_0, YK_Q4_1, YK_Q5_0, YK_Q5_1, YK_Q8_0, YK_Q4_K, YK_Q5_K, YK_Q6_K,
  YK_NF4, YK_FP4, YK_NF4_NESTED, YK_FP4_NESTED
} yk_format;

/// Where the parts of one packed panel lie, in bytes from its start. Unused parts are zero-sized.
typedef struct yk_panel_layout {
  size_t high;        ///< high bits of the codes
  size_t scale;       ///< float16 scales, one row of YK_PANEL per block or super-block
  size_t minimum;     ///< float16 minima, likewise
  size_t sub_scale;   ///< 8-bit scales of sub-blocks (K formats)
  size_t sub_minimum; ///< 8-bit minima of sub-blocks (K formats)
  size_t bytes;       ///< of the whole panel, a multiple of 64
} yk_panel_layout;

yk_panel_layout yk_panel_layout_of(yk_format format, size_t columns);

/// Packs up to YK_PANEL rows of a checkpoint's block format; missing rows become zeros.
void yk_pack_panel(yk_format format, const uint8_t *const *rows, size_t row_count, size_t columns,
                   uint8_t *panel);

/// The 16 numbers that NF4 or FP4 codes stand for, in the order of the codes.
const float *yk_code4_table(yk_format format);
/// The 256 numbers that the 8-bit scales of nested formats stand for, ascending.
const float *yk_dynamic_map(void);
/// Scales of 256 blocks that a row of a nested format may need.
size_t yk_nested_rows(size_t columns);
/// Bytes of a row of NF4 or FP4 as yk_pack_panel takes it: for each block of 64 a float32 scale and 32
/// bytes, the first weight of each two in the upper half. Nested: int32, how many blocks of the first
/// scale's 256 lie before the row; float32, what is added to scales; yk_nested_rows float32 scales; then
/// for each block an 8-bit scale and 32 bytes. Columns are a multiple of 64.
size_t yk_code4_row_bytes(yk_format format, size_t columns);
/// Rounds blocks of 64 to their nearest codes: 32 bytes each, as in a row, and a scale. Ties go to
/// the lower number. Returns how many blocks were done: fewer if the next is not finite.
size_t yk_quantize_code4(yk_format format, const float *x, size_t blocks, uint8_t *nibbles,
                         float *scales);

/// Widens one row of a packed panel to float32, exactly as the format's reference dequantiser does.
void yk_unpack_row(yk_format format, const uint8_t *panel, size_t lane, size_t columns, float *out);

/// Activations rounded to 16 bits per block of YK_BLOCK columns, for a tile of tokens.
///
/// `codes` is [columns / 32][16 steps][stride] pairs of int16 in the block's step order;
/// `scale` = max|x| / 32767, `sum` = scale * (float)(sum of codes), `code_sum` the integer sum: each
/// [columns / 32][stride].
typedef struct yk_tile16 {
  int32_t *codes;
  float *scale;
  float *sum;
  int32_t *code_sum;
} yk_tile16;

/// Expanded panels: int16 codes [blocks][16][16 rows][2], scales [blocks or 2 * blocks][16], minima
/// [blocks][16] (or unused). Each further panel's parts lie `panel_bytes` after those of the one
/// before.
typedef struct yk_expanded16 {
  int16_t *codes;
  float *scale;
  float *minimum;
  size_t panel_bytes;
} yk_expanded16;

/// Float32 panels times rows packed in tiles: y[t * y_stride + p * y_panel_stride + r], r < 16.
typedef struct yk_product {
  const float *panels;       ///< [panel_count][columns][16], panel_stride floats apart
  size_t panel_stride, panel_count, columns;
  const float *tiles;        ///< [tiles][columns][tile_rows], from tile_float_pack
  size_t tile_rows;          ///< tile_float of these kernels; the scalar ones take any
  size_t rows;               ///< T: the last tile may have fewer than tile_rows
  int resume;                ///< whether the sums in y go on
  float *y;
  size_t y_stride, y_panel_stride;
  size_t width;              ///< outputs that exist; those behind them are not written
  const float *added_panels; ///< likewise [panel_count][added_columns][16]: their product with
  size_t added_panel_stride; ///< added_tiles, a sum from zero, is added to each finished sum
  size_t added_columns;      ///< 0 if there is none
  const float *added_tiles;  ///< [tiles][added_columns][tile_rows]
  float *sums;               ///< scratch: 16 * panels_float floats for each row
} yk_product;

/// A product whose sums run over rows: y = zᵀ x, of x's columns 16 to a vector.
typedef struct yk_product_across {
  const float *x;            ///< [rows], x_stride floats apart, of 16 * panels columns that count
  size_t x_stride, panels;
  const float *z;            ///< [rows][columns], z_stride floats apart
  size_t z_stride, columns;
  size_t rows;
  int resume;                ///< whether the sums in y go on
  float *y;                  ///< y[i * y_stride + p * y_panel_stride + r], i < columns, r < 16
  size_t y_stride, y_panel_stride;
} yk_product_across;

typedef enum yk_kv_type { YK_KV_F32, YK_KV_F16, YK_KV_Q8 } yk_kv_type;

/// Attention of consecutive queries of one sequence over the paged keys and values of one KV head.
///
/// A block holds YK_KEY_TILE tokens of every KV head. For a head: keys transposed [D][32], values
/// [32][D]; for q8 these are int8 and each token has a float scale: keys' [32], then values' [32].
typedef struct yk_attention_job {
  const float *queries;      ///< query (t, h) at queries + t * query_stride + h * D
  float *out;                ///< likewise, with out_stride
  size_t query_stride, out_stride;
  size_t query_count;        ///< T: consecutive positions from first_position
  size_t group;              ///< query heads per KV head
  size_t head_dimension;     ///< D
  size_t first_position;     ///< of the first query
  size_t window;             ///< keys seen per query, itself included; 0 = all
  const uint8_t *const *blocks; ///< start of this layer's part of each block of the sequence
  size_t key_offset, value_offset;  ///< bytes from there to this head's keys and values
  size_t key_scale_offset, value_scale_offset; ///< q8 only
  yk_kv_type type;
  float scale;               ///< of the scores
  const float *slopes;       ///< ALiBi slope per query head of the group, or NULL
  float *scratch;            ///< yk_attention_scratch(...) floats
} yk_attention_job;

size_t yk_attention_scratch(size_t query_count, size_t group, size_t head_dimension);

/// The two forms of the Gaussian error linear unit.
typedef enum yk_gelu { YK_GELU_ERF, YK_GELU_TANH } yk_gelu;

/// Gradients of the attention of one sequence to one KV head, for some queries and keys of it.
///
/// Everything starts at the sequence's first token and at the head's first element.
typedef struct yk_attention_gradient_job {
  const float *queries, *out, *out_gradient; ///< (t, h) at + t * query_stride + h * D
  float *query_gradient;     ///< likewise, or NULL
  size_t query_stride;
  const float *tiles;        ///< of the whole sequence, from attention_tile_pack, one behind another
  float *key_gradient, *value_gradient; ///< token t at + t * key_stride, or NULL
  size_t key_stride;
  size_t token_count;        ///< T, at positions 0 ..< T
  size_t group;              ///< query heads per KV head
  size_t head_dimension;     ///< D
  size_t window;             ///< keys seen per query, itself included; 0 = all
  float scale;               ///< of the scores
  const float *slopes;       ///< ALiBi slope per query head of the group, or NULL
  float *statistics;         ///< (t, h) at + t * statistics_stride + 3 * h: see attention_statistics
  size_t statistics_stride;
  size_t first_query, end_query; ///< positions of the queries that count
  size_t first_key, end_key;     ///< of the keys: first a multiple of YK_KEY_TILE, end likewise or T
  float *scratch;            ///< yk_attention_gradient_scratch(D) floats
} yk_attention_gradient_job;

/// Floats of one tile: keys and values transposed [D][32] each, keys [32][D rounded up to 16].
size_t yk_attention_gradient_tile(size_t head_dimension);
size_t yk_attention_gradient_scratch(size_t head_dimension);

typedef struct yk_kernels {
  yk_isa isa;
  const char *name;
  size_t tile_float;     ///< tokens per tile of product_float
  size_t panels_float;   ///< panels that product_float keeps in registers
  size_t tile_int16;     ///< tokens per tile of matmul_int16
  size_t columns_int16;  ///< at most so many columns of panels and tile fit the first-level cache
  size_t few_tokens_float; ///< most tokens that few_float takes
  size_t few_tokens_int16; ///< likewise

  /// out [columns][stride]: token i of the tile in column i. count <= stride.
  void (*tile_float_pack)(const float *x, size_t row_stride, size_t count, size_t columns,
                          size_t stride, float *out);
  void (*tile_int16_pack)(const float *x, size_t row_stride, size_t count, size_t columns,
                          size_t stride, yk_tile16 out);
  void (*expand_float)(yk_format format, const uint8_t *panel, size_t columns, float *out);
  void (*expand_int16)(yk_format format, const uint8_t *panel, size_t columns, yk_expanded16 out);
  /// Panels times whole tiles of rows, and what a low-rank update adds.
  void (*product_float)(const yk_product *job);
  void (*product_across)(const yk_product_across *job);
  /// y[i * y_stride + 16 * p + r], r < 16, p < panels: expanded panels times a tile. With `resume` the
  /// sums in y go on: columns may be given block by block, in order, and leave the same bits.
  void (*matmul_int16)(yk_format format, yk_expanded16 weights, size_t panels, size_t columns,
                       yk_tile16 tile, size_t stride, size_t count, int resume, float *y,
                       size_t y_stride);
  /// One token: y[16 * panels] from packed panels that lie `layout.bytes` apart.
  void (*matvec_float)(yk_format format, const uint8_t *panels, size_t count, size_t columns,
                       const float *x, float *y);
  void (*matvec_int16)(yk_format format, const uint8_t *panels, size_t count, size_t columns,
                       yk_tile16 x, float *y);

  /// Tiles for a few tokens: [columns / 16, rounded up][stride][16] floats, or int16 pairs
  /// [columns / 32][stride][16 steps] with the scales and sums as in every tile. count <= stride.
  void (*few_float_pack)(const float *x, size_t row_stride, size_t count, size_t columns,
                         size_t stride, float *out);
  void (*few_int16_pack)(const float *x, size_t row_stride, size_t count, size_t columns,
                         size_t stride, yk_tile16 out);
  /// A few tokens: y[i * y_stride + r], r < 16 * count, straight from packed panels that lie
  /// `layout.bytes` apart, and one of those tiles. few_float takes float formats, NF4 and FP4.
  void (*few_float)(yk_format format, const uint8_t *panels, size_t count, size_t columns,
                    const float *tile, size_t stride, size_t tokens, float *y, size_t y_stride);
  void (*few_int16)(yk_format format, const uint8_t *panels, size_t count, size_t columns,
                    yk_tile16 tile, size_t stride, size_t tokens, float *y, size_t y_stride);

  void (*rms_norm)(const float *x, const float *weight, float epsilon, size_t n, float *y);
  void (*layer_norm)(const float *x, const float *weight, const float *bias, float epsilon,
                     size_t n, float *y);
  void (*add)(const float *a, const float *b, size_t n, float *y);
  /// y = silu(gate) * up
  void (*swiglu)(const float *gate, const float *up, size_t n, float *y);
  /// Rotates pairs (i, i + n/2) (half) of one head by cosines and sines [n / 2], in place.
  void (*rope_half)(float *x, const float *cosine, const float *sine, size_t n);
  /// Rotates pairs (2i, 2i + 1), in place.
  void (*rope_interleaved)(float *x, const float *cosine, const float *sine, size_t n);
  void (*exponential)(const float *x, size_t n, float *y);
  float (*maximum)(const float *x, size_t n);
  /// Lowest index of the largest value; NaN never wins unless all are NaN.
  size_t (*argmax)(const float *x, size_t n);
  /// Sum of exp(x - shift), 16 interleaved chains and a fixed tree.
  float (*sum_exp)(const float *x, float shift, size_t n);
  void (*softmax)(const float *x, size_t n, float *y);
  /// The sampler's exp((x - maximum) / divisor), without fused multiply-add.
  void (*sampling_exp)(const float *x, float maximum, float divisor, size_t n, float *y);
  /// The least and greatest of integers that order as the floats do, both zeros equal, NaN at the
  /// two ends; INT32_MAX and INT32_MIN of nothing.
  void (*key_range)(const float *x, size_t n, int32_t *lowest, int32_t *highest);
  void (*attention)(const yk_attention_job *job);

  /// Writes one token's key and value of one head into its block; slot is its place, 0..31.
  void (*store_kv)(yk_kv_type type, const float *key, const float *value, size_t head_dimension,
                   size_t slot, uint8_t *keys, uint8_t *values, float *key_scales,
                   float *value_scales);
  /// Work for measuring the machine: fused multiply-adds (returns how many FLOPs were done).
  double (*burn_fma)(size_t iterations, float *sink);
  float (*read_sum)(const float *x, size_t n);

  // Gradients (docs/numerics.md, "Gradients").

  /// Rows of `width` <= stride numbers, row_stride apart, to [rows][stride]; zeros behind them.
  void (*strip_pack)(const float *x, size_t row_stride, size_t rows, size_t width, size_t stride,
                     float *out);
  /// Columns first ..< first + count of a float panel [columns][16], count <= 16, to `rows` <= 16
  /// rows of 16 numbers, those behind `count` zero.
  void (*panel_transpose)(const float *panel, size_t count, size_t rows, float *out);
  void (*gelu)(yk_gelu kind, const float *x, size_t n, float *y);
  void (*gelu_gradient)(yk_gelu kind, const float *x, const float *dy, size_t n, float *dx);
  void (*swiglu_gradient)(const float *gate, const float *up, const float *dy, size_t n,
                          float *dgate, float *dup);
  void (*softmax_gradient)(const float *y, const float *dy, size_t n, float *dx);
  /// Of one row; `reciprocal` is 1 / root mean square, for norm_weight_gradient.
  void (*rms_norm_gradient)(const float *x, const float *weight, float epsilon, const float *dy,
                            size_t n, float *dx, float *reciprocal);
  void (*layer_norm_gradient)(const float *x, const float *weight, float epsilon, const float *dy,
                              size_t n, float *dx, float *mean, float *reciprocal);
  /// gradient[i] += dy * (x - mean) * reciprocal of every row in order; mean may be NULL for zeros.
  void (*norm_weight_gradient)(const float *x, const float *dy, size_t row_stride,
                               const float *mean, const float *reciprocal, size_t rows, size_t n,
                               float *gradient);
  /// gradient[i] += dy of every row in order.
  void (*bias_gradient)(const float *dy, size_t row_stride, size_t rows, size_t n,
                        float *gradient);
  /// One tile of `count` <= 32 keys and values, zeros behind them.
  void (*attention_tile_pack)(const float *keys, const float *values, size_t key_stride,
                              size_t count, size_t head_dimension, float *tile);
  /// Of the job's queries: largest score, 1 / sum of exponentials, dot of output and its gradient.
  void (*attention_statistics)(const yk_attention_gradient_job *job);
  /// What the job's queries and keys give each other; key gradients start from zero.
  void (*attention_gradient)(const yk_attention_gradient_job *job);
} yk_kernels;

/// The kernels for one instruction set, or NULL if this CPU (or build) lacks it.
const yk_kernels *yk_kernels_for(yk_isa isa);
/// The best instruction set of this CPU.
yk_isa yk_best_isa(void);

/// Tells the processor that this thread spins.
static inline void yk_spin_hint(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

float yk_half_to_float(uint16_t h);
uint16_t yk_float_to_half(float f);
float yk_bfloat_to_float(uint16_t h);

#endif
