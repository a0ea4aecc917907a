// Products of vector_kernels.h, which includes this: NF4 and FP4, straight from 4-bit panels.
//
// A word holds 8 columns of a row, so a shift brings the next column's codes to the lowest bits of all
// 16 lanes, where the look-up takes them; one product with the block's scales makes the weights.

// The scales of the 16 rows for one block of 64 columns.
INLINE vf code4_scale(yk_format format, const uint8_t *panel, const yk_panel_layout *l,
                      size_t block) {
  if (!yk_is_nested(format)) return loadf((const float *)(const void *)(panel + l->scale + 64 * block));
  const vi lanes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  vub code;
  memcpy(&code, panel + l->sub_scale + block * YK_PANEL, sizeof code);
  vi group = (loadi(panel + l->sub_minimum) + (vi)((int32_t)block)) >> 8;
  vf scale = gather16((const float *)(const void *)(panel + l->scale), group * 16 + lanes);
  vf product = gather16(yk_dynamic_map(), __builtin_convertvector(code, vi)) * scale;
  return product + loadf((const float *)(const void *)(panel + l->minimum));
}

static void expand_code4(yk_format format, const uint8_t *panel, size_t columns, float *out) {
  yk_panel_layout l = yk_panel_layout_of(format, columns);
  vf table = loadf(yk_code4_table(format));
  for (size_t b = 0; b < columns / YK_CODE4_BLOCK; b++) {
    vf scale = code4_scale(format, panel, &l, b);
    for (size_t w = 0; w < 8; w++, out += 8 * YK_PANEL) {
      vu word = loadu(panel + 64 * (8 * b + w));
      UNROLL for (uint32_t j = 0; j < 8; j++)
        storef(out + 16 * j, lookup16(table, as_vi(word >> (4 * j))) * scale);
    }
  }
}

INLINE void matvec_code4_panels(yk_format format, const uint8_t *panels, size_t together,
                                size_t bytes, const yk_panel_layout *l, size_t columns,
                                const float *x, float *y) {
  vf table = loadf(yk_code4_table(format)), sum[2], scale[2];
  UNROLL for (size_t p = 0; p < together; p++) sum[p] = splat(0);
  for (size_t b = 0; b < columns / YK_CODE4_BLOCK; b++) {
    UNROLL for (size_t p = 0; p < together; p++)
      scale[p] = code4_scale(format, panels + p * bytes, l, b);
    for (size_t w = 0; w < 8; w++, x += 8) {
      size_t at = 64 * (8 * b + w);
      vu word[2];
      UNROLL for (size_t p = 0; p < together; p++) {
        word[p] = loadu(panels + p * bytes + at);
        __builtin_prefetch(panels + (p + 2) * bytes + at, 0, 3);
      }
      UNROLL for (uint32_t j = 0; j < 8; j++) {
        vf xk = splat(x[j]);
        UNROLL for (size_t p = 0; p < together; p++)
          sum[p] = fma16(lookup16(table, as_vi(word[p] >> (4 * j))) * scale[p], xk, sum[p]);
      }
    }
  }
  UNROLL for (size_t p = 0; p < together; p++) storef(y + 16 * p, sum[p]);
}

static void matvec_code4(yk_format format, const uint8_t *panels, size_t count, size_t columns,
                         const float *x, float *y) {
  yk_panel_layout l = yk_panel_layout_of(format, columns);
  size_t p = 0;
  for (; p + 2 <= count; p += 2)
    matvec_code4_panels(format, panels + p * l.bytes, 2, l.bytes, &l, columns, x, y + 16 * p);
  for (; p < count; p++)
    matvec_code4_panels(format, panels + p * l.bytes, 1, l.bytes, &l, columns, x, y + 16 * p);
}

// A few tokens: each column's weights are made in registers once and meet every token.
INLINE void few_code4_panels(yk_format format, const uint8_t *panels, size_t together,
                             size_t columns, const float *x, size_t stride, size_t tokens,
                             float *y, size_t y_stride) {
  yk_panel_layout l = yk_panel_layout_of(format, columns);
  vf table = loadf(yk_code4_table(format)), scale[YK_FLOAT_PANELS];
  vf sum[YK_FLOAT_PANELS][YK_FEW_FLOAT];
  UNROLL for (size_t p = 0; p < together; p++)
    UNROLL for (size_t i = 0; i < tokens; i++) sum[p][i] = splat(0);
  for (size_t w = 0; w < columns / 8; w++) {
    if (w % 8 == 0)
      UNROLL for (size_t p = 0; p < together; p++)
        scale[p] = code4_scale(format, panels + p * l.bytes, &l, w / 8);
    vu word[YK_FLOAT_PANELS];
    UNROLL for (size_t p = 0; p < together; p++) {
      word[p] = loadu(panels + p * l.bytes + 64 * w);
      __builtin_prefetch(panels + (p + together) * l.bytes + 64 * w, 0, 3);
    }
    // Eight of the sixteen columns that lie together in the tile.
    const float *columns8 = x + w / 2 * stride * YK_PANEL + w % 2 * 8;
    for (uint32_t j = 0; j < 8; j++) {
      vf row[YK_FLOAT_PANELS];
      UNROLL for (size_t p = 0; p < together; p++) {
        row[p] = lookup16(table, as_vi(word[p])) * scale[p];
        word[p] = word[p] >> 4;
      }
      UNROLL for (size_t i = 0; i < tokens; i++) {
        vf xk = splat(columns8[i * YK_PANEL + j]);
        UNROLL for (size_t p = 0; p < together; p++) sum[p][i] = fma16(row[p], xk, sum[p][i]);
      }
    }
  }
  UNROLL for (size_t i = 0; i < tokens; i++)
    UNROLL for (size_t p = 0; p < together; p++) storef(y + i * y_stride + 16 * p, sum[p][i]);
}
