// Products of vector_kernels.h, which includes this: a few tokens, straight from packed panels.
//
// A step's codes are decoded in registers once and meet every token of the tile, so nothing is
// expanded to memory; each pair of panels streams through once, as for one token.

// Fetches this block's share of the panels that follow, a cache line at a time.
INLINE void fetch_ahead(const uint8_t *panel, size_t block, size_t share) {
  for (size_t z = 0; z < share; z += 64)
    __builtin_prefetch(panel + block * share + z + YK_PREFETCH, 0, 3);
}

// Four steps of a block's codes, numbers 4 j + i in `code[i]`; offsets not subtracted. Only the
// steps of one half if `half` is 0 or 1, every one if it is -1.
INLINE void load_steps(yk_format format, const uint8_t *panel, const yk_panel_layout *l, size_t b,
                       size_t j, int half, vs *code) {
  if (yk_has_nibbles(format)) {
    vu v = loadu(panel + b * 256 + 64 * j), high = (vu)(0);
    if (yk_has_fifth_bit(format)) high = loadu(panel + l->high + b * 64) >> (uint32_t)(4 * j);
    UNROLL for (uint32_t i = 0; i < 4; i++) {
      vu w = v >> (4 * i) & 0x000F000Fu;
      if (yk_has_fifth_bit(format)) w |= high << (4 - i) & 0x00100010u;
      code[i] = as_vs(w);
    }
    return;
  }
  UNROLL for (int h = 0; h < 2; h++) {
    if (half >= 0 && h != half) continue;
    vs v = as_vs(loadu(panel + b * 512 + 64 * (j + 4 * (size_t)h)));
    code[h] = (v << 8) >> 8;
    code[h + 2] = v >> 8;
  }
}

// Keeps the compiler from holding what `memory` points at in registers.
INLINE void settle(const void *memory) { __asm__ volatile("" : : "r"(memory) : "memory"); }

// A panel that has no partner takes its tokens in smaller parts: it is rare, and code for every
// count would be large. Where panels are always alone, they take all tokens at once.
enum {
  FEW_INT16_ALONE = YK_INT16_PANELS == 2 ? 4 : YK_FEW_INT16,
  FEW_FLOAT_ALONE = YK_FLOAT_PANELS == 2 ? 4 : YK_FEW_FLOAT
};

// A tile from its token number `first` on.
INLINE yk_tile16 tokens_from(yk_tile16 x, size_t first) {
  yk_tile16 rest = {x.codes + first * YK_STEPS, x.scale + first, x.sum + first,
                    x.code_sum + first};
  return rest;
}

INLINE void few_int16_panels(yk_format format, const uint8_t *panels, size_t together,
                             size_t columns, yk_tile16 x, size_t stride, size_t tokens, float *y,
                             size_t y_stride) {
  yk_panel_layout l = yk_panel_layout_of(format, columns);
  size_t share = together * l.bytes / (columns / YK_BLOCK);
  const int parts = format == YK_Q6_K ? 2 : 1;
  vf sum[YK_INT16_PANELS][YK_FEW_INT16];
  UNROLL for (size_t p = 0; p < together; p++)
    UNROLL for (size_t i = 0; i < tokens; i++) sum[p][i] = splat(0);
  for (size_t b = 0; b < columns / YK_BLOCK; b++) {
    fetch_ahead(panels, b, share);
    // With many tokens the sums live in memory, so that the integer sums keep the registers.
    if (together * tokens > YK_FEW_SUMS) settle(sum);
    UNROLL for (int part = 0; part < parts; part++) {
      vi dot[YK_INT16_PANELS][YK_FEW_INT16];
      UNROLL for (size_t i = 0; i < tokens; i++) {
        vi start = (vi)(0);
        if (yk_code_offset(format))
          start = (vi)(-yk_code_offset(format) * x.code_sum[b * stride + i]);
        UNROLL for (size_t p = 0; p < together; p++) dot[p][i] = start;
      }
      const int32_t *pairs = x.codes + b * YK_STEPS * stride;
#pragma clang loop unroll(disable)
      for (size_t j = 0; j < 4; j++, pairs += 4) {
        vs code[YK_INT16_PANELS][4];
        UNROLL for (size_t p = 0; p < together; p++)
          load_steps(format, panels + p * l.bytes, &l, b, j, parts == 2 ? part : -1, code[p]);
        UNROLL for (int i = part; i < 4; i += parts) {
          UNROLL for (size_t t = 0; t < tokens; t++) {
            vi pair = (vi)(pairs[t * YK_STEPS + (size_t)i]);
            UNROLL for (size_t p = 0; p < together; p++)
              dot[p][t] = dot_pairs(dot[p][t], code[p][i], pair);
          }
        }
      }
      UNROLL for (size_t p = 0; p < together; p++) {
        vf scale = block_scale(format, panels + p * l.bytes, &l, b, (size_t)part);
        vf minimum = splat(0);
        if (yk_has_minimum(format)) minimum = block_minimum(format, panels + p * l.bytes, &l, b);
        UNROLL for (size_t i = 0; i < tokens; i++) {
          sum[p][i] = fma16(scale * splat(x.scale[b * stride + i]),
                            __builtin_convertvector(dot[p][i], vf), sum[p][i]);
          if (yk_has_minimum(format))
            sum[p][i] = fma16(minimum, splat(x.sum[b * stride + i]), sum[p][i]);
        }
      }
    }
  }
  UNROLL for (size_t p = 0; p < together; p++)
    UNROLL for (size_t i = 0; i < tokens; i++) storef(y + i * y_stride + 16 * p, sum[p][i]);
}

INLINE void few_int16_as(yk_format format, const uint8_t *panels, size_t count, size_t columns,
                         yk_tile16 x, size_t stride, size_t tokens, float *y,
                         size_t y_stride) {
  size_t bytes = yk_panel_layout_of(format, columns).bytes, p = 0;
#define CALL(together, most, i, n)                                                                \
  if (n <= most)                                                                                  \
  few_int16_panels(format, panels + p * bytes, together, columns, tokens_from(x, i), stride,    \
                   n <= most ? n : 1, y + (i) * y_stride + 16 * p, y_stride)
#if YK_INT16_PANELS == 2
  for (; p + 2 <= count; p += 2) {
#define BODY(n) CALL(2, YK_FEW_INT16, 0, n)
    switch (tokens) { COUNT_CASES(BODY) default: break; }
#undef BODY
  }
#endif
  for (; p < count; p++) {
    for (size_t i = 0; i < tokens; i += FEW_INT16_ALONE) {
#define BODY(n) CALL(1, FEW_INT16_ALONE, i, n)
      switch (tokens - i < FEW_INT16_ALONE ? tokens - i : FEW_INT16_ALONE) {
        COUNT_CASES(BODY) default: break;
      }
#undef BODY
    }
  }
#undef CALL
}

static void few_int16(yk_format format, const uint8_t *panels, size_t count, size_t columns,
                      yk_tile16 x, size_t stride, size_t tokens, float *y, size_t y_stride) {
#define BODY(f) few_int16_as(f, panels, count, columns, x, stride, tokens, y, y_stride)
  switch (format) { FOR_BLOCK_FORMATS(format, BODY) default: break; }
#undef BODY
}

INLINE void few_float_panels(yk_format format, const uint8_t *panels, size_t together,
                             size_t columns, const float *x, size_t stride, size_t tokens,
                             float *y, size_t y_stride) {
  size_t bytes = yk_panel_layout_of(format, columns).bytes;
  size_t element = format == YK_F32 ? 64 : 32;
  vf sum[YK_FLOAT_PANELS][YK_FEW_FLOAT];
  UNROLL for (size_t p = 0; p < together; p++)
    UNROLL for (size_t i = 0; i < tokens; i++) sum[p][i] = splat(0);
  for (size_t start = 0; start < columns; start += YK_PANEL, x += stride * YK_PANEL) {
    size_t end = columns - start < YK_PANEL ? columns - start : YK_PANEL;
    for (size_t j = 0; j < end; j++) {
      size_t k = start + j;
      if (j % 2 == 0)
        UNROLL for (size_t z = 0; z < 2 * together * element; z += 64)
          __builtin_prefetch(panels + 2 * together * bytes + together * element * k + z, 0, 3);
      vf row[YK_FLOAT_PANELS];
      UNROLL for (size_t p = 0; p < together; p++)
        row[p] = load_element(format, panels + p * bytes, k);
      UNROLL for (size_t i = 0; i < tokens; i++) {
        vf xk = splat(x[i * YK_PANEL + j]);
        UNROLL for (size_t p = 0; p < together; p++) sum[p][i] = fma16(row[p], xk, sum[p][i]);
      }
    }
  }
  UNROLL for (size_t i = 0; i < tokens; i++)
    UNROLL for (size_t p = 0; p < together; p++) storef(y + i * y_stride + 16 * p, sum[p][i]);
}

INLINE void few_code4_as(yk_format format, const uint8_t *panels, size_t count, size_t columns,
                         const float *x, size_t stride, size_t tokens, float *y,
                         size_t y_stride) {
  size_t bytes = yk_panel_layout_of(format, columns).bytes, p = 0;
#define CALL(together, most, i, n)                                                                \
  if (n <= most)                                                                                  \
  few_code4_panels(format, panels + p * bytes, together, columns, x + (i) * YK_PANEL, stride,   \
                   n <= most ? n : 1, y + (i) * y_stride + 16 * p, y_stride)
#if YK_FLOAT_PANELS == 2
  for (; p + 2 <= count; p += 2) {
#define BODY(n) CALL(2, YK_FEW_FLOAT, 0, n)
    switch (tokens) { COUNT_CASES(BODY) default: break; }
#undef BODY
  }
#endif
  for (; p < count; p++) {
    for (size_t i = 0; i < tokens; i += FEW_FLOAT_ALONE) {
#define BODY(n) CALL(1, FEW_FLOAT_ALONE, i, n)
      switch (tokens - i < FEW_FLOAT_ALONE ? tokens - i : FEW_FLOAT_ALONE) {
        COUNT_CASES(BODY) default: break;
      }
#undef BODY
    }
  }
#undef CALL
}

INLINE void few_float_as(yk_format format, const uint8_t *panels, size_t count, size_t columns,
                         const float *x, size_t stride, size_t tokens, float *y,
                         size_t y_stride) {
  size_t bytes = yk_panel_layout_of(format, columns).bytes, p = 0;
#define CALL(together, most, i, n)                                                                \
  if (n <= most)                                                                                  \
  few_float_panels(format, panels + p * bytes, together, columns, x + (i) * YK_PANEL, stride,   \
                   n <= most ? n : 1, y + (i) * y_stride + 16 * p, y_stride)
#if YK_FLOAT_PANELS == 2
  for (; p + 2 <= count; p += 2) {
#define BODY(n) CALL(2, YK_FEW_FLOAT, 0, n)
    switch (tokens) { COUNT_CASES(BODY) default: break; }
#undef BODY
  }
#endif
  for (; p < count; p++) {
    for (size_t i = 0; i < tokens; i += FEW_FLOAT_ALONE) {
#define BODY(n) CALL(1, FEW_FLOAT_ALONE, i, n)
      switch (tokens - i < FEW_FLOAT_ALONE ? tokens - i : FEW_FLOAT_ALONE) {
        COUNT_CASES(BODY) default: break;
      }
#undef BODY
    }
  }
#undef CALL
}

static void few_float(yk_format format, const uint8_t *panels, size_t count, size_t columns,
                      const float *x, size_t stride, size_t tokens, float *y, size_t y_stride) {
#define BODY(f) few_float_as(f, panels, count, columns, x, stride, tokens, y, y_stride)
  switch (format) {
    FOR_FLOAT_FORMATS(format, BODY)
    CODE4_CASES:
      few_code4_as(format, panels, count, columns, x, stride, tokens, y, y_stride);
      break;
    default: break;
  }
#undef BODY
}
