// Activations, gradients and panels as the products take them; vector_kernels.h includes this.

// Lanes past the end read as zero.
INLINE vf load_part(const float *p, size_t n) {
  float part[16] = {0};
  memcpy(part, p, n * 4);
  return loadf(part);
}

// Rows become columns, in four rounds that each halve the distance between partners.
INLINE void transpose16(vf *row) {
#define EXCHANGE(distance, a, b)                                                                  \
  {                                                                                               \
    vf x_ = row[a], y_ = row[b];                                                                  \
    row[a] = EVEN##distance(x_, y_);                                                              \
    row[b] = ODD##distance(x_, y_);                                                               \
  }
#define EVEN8(x, y)                                                                               \
  __builtin_shufflevector(x, y, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23)
#define ODD8(x, y)                                                                                \
  __builtin_shufflevector(x, y, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31)
#define EVEN4(x, y)                                                                               \
  __builtin_shufflevector(x, y, 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27)
#define ODD4(x, y)                                                                                \
  __builtin_shufflevector(x, y, 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31)
#define EVEN2(x, y)                                                                               \
  __builtin_shufflevector(x, y, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29)
#define ODD2(x, y)                                                                                \
  __builtin_shufflevector(x, y, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31)
#define EVEN1(x, y)                                                                               \
  __builtin_shufflevector(x, y, 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30)
#define ODD1(x, y)                                                                                \
  __builtin_shufflevector(x, y, 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31)
#define ROUND(distance)                                                                           \
  UNROLL for (int i_ = 0; i_ < 16; i_++)                                                          \
    if ((i_ & distance) == 0) EXCHANGE(distance, i_, i_ + distance)
  ROUND(8)
  ROUND(4)
  ROUND(2)
  ROUND(1)
#undef ROUND
#undef EXCHANGE
}

static void tile_float_pack(const float *x, size_t row_stride, size_t count, size_t columns,
                            size_t stride, float *out) {
  size_t k = 0;
  // Each row of 16 is stored whole and the next one lies over its end; the last must keep within.
  for (; stride <= 16 && k + 16 < columns; k += 16) {
    vf row[16];
    UNROLL for (size_t i = 0; i < 16; i++)
      row[i] = i < count ? loadf(x + i * row_stride + k) : splat(0);
    transpose16(row);
    UNROLL for (size_t j = 0; j < 16; j++) {
      float *place = out + (k + j) * stride;
      if (j < 15) storef(place, row[j]);
      else if (stride == YK_TILE_FLOAT) memcpy(place, &row[j], YK_TILE_FLOAT * sizeof(float));
      else memcpy(place, &row[j], stride * sizeof(float));
    }
  }
  for (; k < columns; k++)
    for (size_t i = 0; i < count; i++) out[k * stride + i] = x[i * row_stride + k];
}

INLINE void pack_int16(const float *x, size_t row_stride, size_t count, size_t columns,
                       size_t stride, size_t token_stride, size_t step_stride, yk_tile16 out) {
  for (size_t i = 0; i < count; i++) {
    for (size_t b = 0; b < columns / YK_BLOCK; b++) {
      const float *v = x + i * row_stride + b * YK_BLOCK;
      vf a = loadf(v), c = loadf(v + 16);
      vu am = as_vu(a) & 0x7FFFFFFFu, cm = as_vu(c) & 0x7FFFFFFFu;
      uint32_t largest = __builtin_reduce_max(__builtin_elementwise_max(am, cm));
      float maximum;
      memcpy(&maximum, &largest, 4);
      int tiny = maximum < 1e-30f;
      float scale = tiny ? 0.0f : maximum / 32767.0f, inverse = tiny ? 0.0f : 32767.0f / maximum;
      vf magic = splat(12582912.0f);
      vf ar = (a * splat(inverse) + magic) - magic, cr = (c * splat(inverse) + magic) - magic;
      vi ai = __builtin_convertvector(select16(ar == ar, ar, splat(0)), vi);
      vi ci = __builtin_convertvector(select16(cr == cr, cr, splat(0)), vi);
      int32_t sum = __builtin_reduce_add(ai + ci);
      vi first = __builtin_shufflevector(ai, ci, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28,
                                         13, 29);
      vi second = __builtin_shufflevector(ai, ci, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14,
                                          30, 15, 31);
      vi pairs = (first & 0xFFFF) | second << 16;
      int32_t *codes = out.codes + b * YK_STEPS * stride + i * token_stride;
      if (step_stride == 1) memcpy(codes, &pairs, sizeof pairs);
      else
        for (int s = 0; s < YK_STEPS; s++) codes[(size_t)s * step_stride] = pairs[s];
      out.scale[b * stride + i] = scale;
      out.sum[b * stride + i] = scale * (float)sum;
      out.code_sum[b * stride + i] = sum;
    }
  }
}

static void tile_int16_pack(const float *x, size_t row_stride, size_t count, size_t columns,
                            size_t stride, yk_tile16 out) {
  pack_int16(x, row_stride, count, columns, stride, 1, stride, out);
}
static void few_int16_pack(const float *x, size_t row_stride, size_t count, size_t columns,
                           size_t stride, yk_tile16 out) {
  pack_int16(x, row_stride, count, columns, stride, YK_STEPS, 1, out);
}
static void few_float_pack(const float *x, size_t row_stride, size_t count, size_t columns,
                           size_t stride, float *out) {
  for (size_t k = 0; k < columns; k += YK_PANEL)
    for (size_t i = 0; i < count; i++) {
      float *place = out + (k * stride + i * YK_PANEL);
      if (columns - k >= YK_PANEL) storef(place, loadf(x + i * row_stride + k));
      else memcpy(place, x + i * row_stride + k, (columns - k) * sizeof(float));
    }
}

static void strip_pack(const float *x, size_t row_stride, size_t rows, size_t width, size_t stride,
                       float *out) {
  if (width == YK_PANEL && stride == YK_PANEL) {
    for (size_t t = 0; t < rows; t++) storef(out + t * YK_PANEL, loadf(x + t * row_stride));
    return;
  }
  if (width == YK_TILE_FLOAT && stride == YK_TILE_FLOAT) {
    for (size_t t = 0; t < rows; t++)
      memcpy(out + t * YK_TILE_FLOAT, x + t * row_stride, YK_TILE_FLOAT * sizeof(float));
    return;
  }
  yk_strip_pack(x, row_stride, rows, width, stride, out);
}

static void panel_transpose(const float *panel, size_t count, size_t rows, float *out) {
  vf row[16];
  UNROLL for (size_t k = 0; k < 16; k++) row[k] = k < count ? loadf(panel + 16 * k) : splat(0);
  transpose16(row);
  UNROLL for (size_t r = 0; r < 16; r++)
    if (r < rows) storef(out + 16 * r, row[r]);
}
