// Products of vector_kernels.h, which includes this: widening, matrix by tile, matrix by vector.

// The 16 steps of one block's codes as int16 pairs; offsets not subtracted.
#define FOR_STEPS(format, panel, layout, b, STEP)                                                 \
  if (yk_has_nibbles(format)) {                                                                   \
    const uint8_t *codes_ = (panel) + (b) * 256;                                                  \
    vu high_ = (vu)(0);                                                                           \
    if (yk_has_fifth_bit(format)) high_ = loadu((panel) + (layout).high + (b) * 64);              \
    UNROLL for (int j_ = 0; j_ < 4; j_++) {                           \
      vu v_ = loadu(codes_ + 64 * j_);                                                            \
      UNROLL for (int i_ = 0; i_ < 4; i_++) {                         \
        int s_ = 4 * j_ + i_;                                                                     \
        vu w_ = v_ >> (uint32_t)(4 * i_) & 0x000F000Fu;                                           \
        if (yk_has_fifth_bit(format))                                                             \
          w_ |= (s_ <= 4 ? high_ << (uint32_t)(s_ <= 4 ? 4 - s_ : 0)                              \
                         : high_ >> (uint32_t)(s_ > 4 ? s_ - 4 : 0)) & 0x00100010u;               \
        STEP(s_, as_vs(w_))                                                         \
      }                                                                                           \
    }                                                                                             \
  } else {                                                                                        \
    const uint8_t *codes_ = (panel) + (b) * 512;                                                  \
    UNROLL for (int u_ = 0; u_ < 8; u_++) {                           \
      vs v_ = as_vs(loadu(codes_ + 64 * u_));                                       \
      int s_ = 4 * (u_ & 3) + (u_ >> 2);                                                          \
      STEP(s_, (v_ << 8) >> 8)                                                                    \
      STEP(s_ + 2, v_ >> 8)                                                                       \
    }                                                                                             \
  }

INLINE vf block_scale(yk_format format, const uint8_t *panel, const yk_panel_layout *l, size_t b,
                      size_t half) {
  if (!yk_is_k(format)) return load_half(panel + l->scale + 32 * b);
  vf scale = load_half(panel + l->scale + 32 * (b / 8));
  if (format == YK_Q6_K)
    return scale * load_signed_bytes(panel + l->sub_scale + (2 * b + half) * 16);
  return scale * load_unsigned_bytes(panel + l->sub_scale + b * 16);
}
INLINE vf block_minimum(yk_format format, const uint8_t *panel, const yk_panel_layout *l,
                        size_t b) {
  if (!yk_is_k(format)) return load_half(panel + l->minimum + 32 * b);
  return -(load_half(panel + l->minimum + 32 * (b / 8)) *
           load_unsigned_bytes(panel + l->sub_minimum + b * 16));
}

INLINE void expand_float_as(yk_format format, const uint8_t *panel, size_t columns, float *out) {
  if (yk_is_float(format)) {
    for (size_t k = 0; k < columns; k++) storef(out + 16 * k, load_element(format, panel, k));
    return;
  }
  yk_panel_layout l = yk_panel_layout_of(format, columns);
  vf offset = splat((float)yk_code_offset(format));
  for (size_t b = 0; b < columns / YK_BLOCK; b++) {
    vf scale[2], minimum = splat(0);
    scale[0] = scale[1] = block_scale(format, panel, &l, b, 0);
    if (format == YK_Q6_K) scale[1] = block_scale(format, panel, &l, b, 1);
    if (yk_has_minimum(format)) minimum = block_minimum(format, panel, &l, b);
    float *o = out + b * YK_BLOCK * YK_PANEL;
#define WIDEN(k, integers)                                                                        \
  {                                                                                               \
    vf f_ = (__builtin_convertvector(integers, vf) - offset) * scale[(k) >= 16];                  \
    if (yk_has_minimum(format)) f_ = f_ + minimum;                                                \
    storef(o + 16 * (k), f_);                                                                     \
  }
#define STEP(s, w)                                                                                \
  {                                                                                               \
    vi pair_ = as_vi(w);                                                            \
    size_t k_ = yk_step_column((size_t)(s));                                                      \
    WIDEN(k_, pair_ << 16 >> 16)                                                                  \
    WIDEN(k_ + 2, pair_ >> 16)                                                                    \
  }
    FOR_STEPS(format, panel, l, b, STEP)
#undef STEP
#undef WIDEN
  }
}

INLINE void expand_int16_as(yk_format format, const uint8_t *panel, size_t columns,
                            yk_expanded16 out) {
  yk_panel_layout l = yk_panel_layout_of(format, columns);
  vs offset = (vs)((int16_t)yk_code_offset(format));
  for (size_t b = 0; b < columns / YK_BLOCK; b++) {
    int16_t *o = out.codes + b * YK_STEPS * 32;
#define STEP(s, w)                                                                                \
  {                                                                                               \
    vs w2_ = (w) - offset;                                                                        \
    memcpy(o + 32 * (s), &w2_, sizeof w2_);                                                       \
  }
    FOR_STEPS(format, panel, l, b, STEP)
#undef STEP
    if (format == YK_Q6_K) {
      storef(out.scale + 32 * b, block_scale(format, panel, &l, b, 0));
      storef(out.scale + 32 * b + 16, block_scale(format, panel, &l, b, 1));
    } else {
      storef(out.scale + 16 * b, block_scale(format, panel, &l, b, 0));
    }
    if (yk_has_minimum(format)) storef(out.minimum + 16 * b, block_minimum(format, panel, &l, b));
  }
}

// Compiles `body` once for each format, so that the format's branches vanish from its loops.
#define FOR_BLOCK_FORMATS(format, body)                                                           \
  case YK_Q4_0: body(YK_Q4_0); break;                                                             \
  case YK_Q4_1: body(YK_Q4_1); break;                                                             \
  case YK_Q5_0: body(YK_Q5_0); break;                                                             \
  case YK_Q5_1: body(YK_Q5_1); break;                                                             \
  case YK_Q8_0: body(YK_Q8_0); break;                                                             \
  case YK_Q4_K: body(YK_Q4_K); break;                                                             \
  case YK_Q5_K: body(YK_Q5_K); break;                                                             \
  case YK_Q6_K: body(YK_Q6_K); break;
#define CODE4_CASES case YK_NF4: case YK_FP4: case YK_NF4_NESTED: case YK_FP4_NESTED
#define FOR_FLOAT_FORMATS(format, body)                                                           \
  case YK_F32: body(YK_F32); break;                                                               \
  case YK_F16: body(YK_F16); break;                                                               \
  case YK_BF16: body(YK_BF16); break;

static void expand_float(yk_format format, const uint8_t *panel, size_t columns, float *out) {
#define BODY(f) expand_float_as(f, panel, columns, out)
  switch (format) {
    FOR_FLOAT_FORMATS(format, BODY)
    FOR_BLOCK_FORMATS(format, BODY)
    CODE4_CASES: expand_code4(format, panel, columns, out); break;
  }
#undef BODY
}
static void expand_int16(yk_format format, const uint8_t *panel, size_t columns,
                         yk_expanded16 out) {
#define BODY(f) expand_int16_as(f, panel, columns, out)
  switch (format) { FOR_BLOCK_FORMATS(format, BODY) default: break; }
#undef BODY
}

// Where the sums of a tile of rows begin and end, vectors of a panel `panel` floats apart.
typedef struct yk_sums {
  const float *from;  // where they go on; NULL begins at zero
  size_t from_stride, from_panel;
  int adds;           // they begin at zero, and what is at `from` is added at the end
  float *to;
  size_t to_stride, to_panel;
  const float *soon;  // strides as `to`: will be written soon; NULL if nothing is known
  const float *next;  // panels that come later: a line of them is fetched with every four columns
} yk_sums;

// What a product fetches while it sums.
typedef enum yk_fetch {
  YK_FETCH_NOTHING,
  YK_FETCH_NEXT,     // a line of s.next with every four columns
  YK_FETCH_BEHIND,   // of each column the panels behind these
} yk_fetch;

// With `mixes` some numbers of the tile are operands in memory, which spares the instruction that
// loads them: a core whose other thread is busy issues few. With all of them there, loads would not
// keep up.
INLINE void tile_matmul_float(const float *w, size_t step, size_t panel_stride, size_t panels,
                              size_t columns, const float *tile, size_t stride, size_t count,
                              yk_fetch fetch, int mixes, yk_sums s) {
  vf sum[YK_MOST_PANELS][YK_MOST_ROWS];
  if (s.from && !s.adds) {
    UNROLL for (size_t p = 0; p < panels; p++)
      UNROLL for (size_t i = 0; i < count; i++)
        sum[p][i] = loadf(s.from + i * s.from_stride + p * s.from_panel);
  } else {
    UNROLL for (size_t p = 0; p < panels; p++)
      UNROLL for (size_t i = 0; i < count; i++) sum[p][i] = splat(0);
  }
  if (s.soon)
    UNROLL for (size_t i = 0; i < count; i++)
      UNROLL for (size_t p = 0; p < panels; p++)
        __builtin_prefetch(s.soon + i * s.to_stride + p * s.to_panel, 1, 3);
#define STEP(j)                                                                                   \
  {                                                                                               \
    vf row[YK_MOST_PANELS];                                                                       \
    UNROLL for (size_t p = 0; p < panels; p++) row[p] = loadf(w + p * panel_stride + (j) * step); \
    if (fetch == YK_FETCH_BEHIND)                                                                 \
      UNROLL for (size_t p = 0; p < panels; p++)                                                  \
        __builtin_prefetch(w + (panels + p) * panel_stride + (j) * step, 0, 3);                   \
    UNROLL for (size_t i = 0; i < count; i++) {                                                   \
      const float *x = tile + ((j) * stride + i);                                                 \
      if (mixes && i % 3 == 0) {                                                                  \
        UNROLL for (size_t p = 0; p < panels; p++) sum[p][i] = fma_memory(sum[p][i], row[p], x);  \
      } else {                                                                                    \
        vf all = splat(*x);                                                                       \
        UNROLL for (size_t p = 0; p < panels; p++) sum[p][i] = fma16(row[p], all, sum[p][i]);     \
      }                                                                                           \
    }                                                                                             \
  }
  size_t k = 0;
  for (; k + 4 <= columns; k += 4, w += 4 * step, tile += 4 * stride, s.next += YK_PANEL) {
    if (fetch == YK_FETCH_NEXT) __builtin_prefetch(s.next, 0, 2);
    UNROLL for (size_t j = 0; j < 4; j++) STEP(j)
  }
  for (; k < columns; k++, w += step, tile += stride) STEP(0)
#undef STEP
  if (s.adds)
    UNROLL for (size_t i = 0; i < count; i++)
      UNROLL for (size_t p = 0; p < panels; p++)
        sum[p][i] = loadf(s.from + i * s.from_stride + p * s.from_panel) + sum[p][i];
  UNROLL for (size_t i = 0; i < count; i++)
    UNROLL for (size_t p = 0; p < panels; p++)
      storef(s.to + i * s.to_stride + p * s.to_panel, sum[p][i]);
}

#define COUNT_CASES(body)                                                                         \
  case 1: body(1); break;                                                                         \
  case 2: body(2); break;                                                                         \
  case 3: body(3); break;                                                                         \
  case 4: body(4); break;                                                                         \
  case 5: body(5); break;                                                                         \
  case 6: body(6); break;                                                                         \
  case 7: body(7); break;                                                                         \
  case 8: body(8); break;                                                                         \
  case 9: body(9); break;                                                                         \
  case 10: body(10); break;                                                                       \
  case 11: body(11); break;                                                                       \
  case 12: body(12); break;

// All panels, `most_panels` at a time, over up to `most_rows` rows; both are constants.
INLINE void panels_matmul_float(size_t most_panels, size_t most_rows, const float *weights,
                                size_t step, size_t panel_stride, size_t panels, size_t columns,
                                const float *tile, size_t stride, size_t count, yk_fetch fetch,
                                int mixes, yk_sums s) {
#define CALL(together, n)                                                                         \
  if (n <= most_rows)                                                                             \
  tile_matmul_float(weights, step, panel_stride, together, columns, tile, stride,                 \
                    n <= most_rows ? n : 1, fetch, mixes, s)
#define BODY1(n) CALL(1, n)
#define BODY2(n) CALL(2, n)
#define BODY3(n) CALL(3, n)
  for (size_t p = 0; p < panels;) {
    size_t together = panels - p < most_panels ? panels - p : most_panels;
    if (most_panels >= 3 && together == 3) {
      switch (count) { COUNT_CASES(BODY3) default: break; }
    } else if (most_panels >= 2 && together == 2) {
      switch (count) { COUNT_CASES(BODY2) default: break; }
    } else {
      switch (count) { COUNT_CASES(BODY1) default: break; }
    }
    p += together;
    weights += together * panel_stride;
    if (s.from) s.from += together * s.from_panel;
    if (s.soon) s.soon += together * s.to_panel;
    s.to += together * s.to_panel;
  }
#undef BODY1
#undef BODY2
#undef BODY3
#undef CALL
}

// Packed panels over one packed tile.
static __attribute__((noinline)) void multiply_tile(const float *weights, size_t panel_stride,
                                                    size_t panels, size_t columns,
                                                    const float *tile, size_t count,
                                                    const yk_sums *s) {
  panels_matmul_float(YK_TILE_PANELS, YK_TILE_FLOAT, weights, YK_PANEL, panel_stride, panels,
                      columns, tile, YK_TILE_FLOAT, count, YK_FETCH_NEXT, 1, *s);
}

INLINE yk_sums sums_in_place(int resume, float *y, size_t stride, size_t panel, size_t count) {
  return (yk_sums){resume ? y : NULL, stride, panel, 0, y, stride, panel, y + count * stride,
                   y};
}

// Of any number of rows, panels whose columns lie `step` floats apart and which may overlap, and any
// stride of the tile; sums in y.
static __attribute__((noinline)) void multiply_rows(const float *weights, size_t step,
                                                    size_t panel_stride, size_t panels,
                                                    size_t columns, const float *tile,
                                                    size_t stride, size_t rows, int resume,
                                                    float *y, size_t y_stride,
                                                    size_t y_panel_stride) {
  for (size_t i = 0; i < rows; i += YK_ROWS_FLOAT) {
    size_t count = rows - i < YK_ROWS_FLOAT ? rows - i : YK_ROWS_FLOAT;
    panels_matmul_float(YK_FLOAT_PANELS, YK_ROWS_FLOAT, weights, step, panel_stride, panels,
                        columns, tile + i, stride, count, YK_FETCH_NOTHING, 0,
                        sums_in_place(resume, y + i * y_stride, y_stride, y_panel_stride, count));
  }
}

// Rows in pieces that stay in the first-level cache for the next columns of z.
static void product_across(const yk_product_across *job) {
  size_t piece = YK_COLUMNS_FLOAT / 2;
  for (size_t p = 0; p < job->panels; p += YK_TILE_PANELS) {
    size_t count = job->panels - p < YK_TILE_PANELS ? job->panels - p : YK_TILE_PANELS;
    for (size_t t = 0; t < job->rows; t += piece) {
      size_t rows = job->rows - t < piece ? job->rows - t : piece;
      for (size_t i = 0; i < job->columns; i += YK_TILE_FLOAT) {
        size_t n = job->columns - i < YK_TILE_FLOAT ? job->columns - i : YK_TILE_FLOAT;
        yk_sums s = sums_in_place(job->resume || t > 0,
                                  job->y + (i * job->y_stride + p * job->y_panel_stride),
                                  job->y_stride, job->y_panel_stride, n);
        s.soon = NULL;
        const float *x = job->x + (t * job->x_stride + p * YK_PANEL);
        panels_matmul_float(YK_TILE_PANELS, YK_TILE_FLOAT, x, job->x_stride, YK_PANEL, count, rows,
                            job->z + (t * job->z_stride + i), job->z_stride, n, YK_FETCH_BEHIND,
                            1, s);
      }
    }
  }
}

INLINE yk_sums sums_elsewhere(float *sums, size_t stride, const float *next) {
  return (yk_sums){sums, stride, YK_PANEL, 0, sums, stride, YK_PANEL, NULL, next};
}
INLINE void end_in(yk_sums *s, float *y, const yk_product *job) {
  s->to = y;
  s->to_stride = job->y_stride;
  s->to_panel = job->y_panel_stride;
  s->soon = y;
}

// The panels that registers hold together, over all rows. Columns are taken in pieces whose panels
// stay in the first-level cache. Sums that wait for the next piece lie in contiguous memory, where
// they neither collide in a cache nor touch a page for each row.
INLINE void product_of_panels(const yk_product *job, const float *panels, const float *added,
                              size_t count, float *y, size_t width, const float *next) {
  size_t columns = job->columns, rows = job->rows, stride = count * YK_PANEL;
  size_t pieces = (columns + YK_COLUMNS_FLOAT - 1) / YK_COLUMNS_FLOAT;
  size_t piece = pieces > 1 ? ((columns + pieces - 1) / pieces + 15) / 16 * 16 : columns;
  int is_whole = width == stride;
  if (!is_whole && job->resume)
    for (size_t t = 0; t < rows; t++) {
      memset(job->sums + t * stride, 0, stride * sizeof(float));
      memcpy(job->sums + t * stride, y + t * job->y_stride, width * sizeof(float));
    }
  size_t first = 0;
  do {
    size_t length = columns - first < piece ? columns - first : piece, end = first + length;
    const float *soon = end < columns ? panels + end * YK_PANEL : next;
    for (size_t i = 0; i * YK_TILE_FLOAT < rows; i++) {
      size_t row = i * YK_TILE_FLOAT;
      size_t n = rows - row < YK_TILE_FLOAT ? rows - row : YK_TILE_FLOAT;
      float *sums = job->sums + row * stride, *place = y + row * job->y_stride;
      // Each tile fetches its share of the piece that comes next, of one panel after the other.
      size_t line = i / count * (length / 4);
      yk_sums s = sums_elsewhere(
          sums, stride,
          soon + i % count * job->panel_stride + (line < piece ? line : 0) * YK_PANEL);
      if (first == 0 && !job->resume) s.from = NULL;
      if (first == 0 && job->resume && is_whole) {
        s.from = place;
        s.from_stride = job->y_stride;
        s.from_panel = job->y_panel_stride;
      }
      if (end == columns && is_whole && !added) end_in(&s, place, job);
      multiply_tile(panels + first * YK_PANEL, job->panel_stride, count, length,
                    job->tiles + (i * columns + first) * YK_TILE_FLOAT, n, &s);
      if (end < columns || !added) continue;
      s = sums_elsewhere(sums, stride, panels);
      s.adds = 1;
      if (is_whole) end_in(&s, place, job);
      multiply_tile(added, job->added_panel_stride, count, job->added_columns,
                    job->added_tiles + i * job->added_columns * YK_TILE_FLOAT, n, &s);
    }
    first = end;
  } while (first < columns);
  if (!is_whole)
    for (size_t t = 0; t < rows; t++)
      memcpy(y + t * job->y_stride, job->sums + t * stride, width * sizeof(float));
}

static void product_float(const yk_product *job) {
  for (size_t p = 0; p < job->panel_count; p += YK_TILE_PANELS) {
    size_t left = job->panel_count - p, count = left < YK_TILE_PANELS ? left : YK_TILE_PANELS;
    size_t width = job->width - p * YK_PANEL;
    if (width > count * YK_PANEL) width = count * YK_PANEL;
    const float *panels = job->panels + p * job->panel_stride;
    const float *added =
        job->added_columns ? job->added_panels + p * job->added_panel_stride : NULL;
    product_of_panels(job, panels, added, count, job->y + p * job->y_panel_stride, width,
                      left > count ? panels + count * job->panel_stride : panels);
  }
}

INLINE void tile_matmul_int16(int has_minimum, int parts, yk_expanded16 weights, size_t panels,
                              size_t columns, yk_tile16 tile, size_t stride, size_t count,
                              int resume, float *y, size_t y_stride) {
  yk_expanded16 panel[YK_INT16_PANELS];
  vf sum[YK_INT16_PANELS][YK_TILE_INT16];
  UNROLL for (size_t p = 0; p < panels; p++) {
    panel[p] = yk_panel_of(weights, p);
    UNROLL for (size_t i = 0; i < count; i++)
      sum[p][i] = resume ? loadf(y + i * y_stride + 16 * p) : splat(0);
  }
  for (size_t b = 0; b < columns / YK_BLOCK; b++) {
    const int32_t *x = tile.codes + b * YK_STEPS * stride;
    UNROLL for (int part = 0; part < parts; part++) {
      vi dot[YK_INT16_PANELS][YK_TILE_INT16];
      UNROLL for (size_t p = 0; p < panels; p++)
        UNROLL for (size_t i = 0; i < count; i++) dot[p][i] = (vi)(0);
      UNROLL for (int s = part; s < YK_STEPS; s += parts) {
        vs row[YK_INT16_PANELS];
        UNROLL for (size_t p = 0; p < panels; p++)
          memcpy(&row[p], panel[p].codes + (b * YK_STEPS + (size_t)s) * 32, sizeof row[p]);
        UNROLL for (size_t i = 0; i < count; i++) {
          const int32_t *pair = x + ((size_t)s * stride + i);
          if (i % YK_SHARED_PAIRS == 0) {
            vi both = (vi)(*pair);
            UNROLL for (size_t p = 0; p < panels; p++)
              dot[p][i] = dot_pairs(dot[p][i], row[p], both);
          } else {
            UNROLL for (size_t p = 0; p < panels; p++)
              dot[p][i] = dot_memory(dot[p][i], row[p], pair);
          }
        }
      }
      UNROLL for (size_t p = 0; p < panels; p++) {
        vf scale = loadf(panel[p].scale + (b * (size_t)parts + (size_t)part) * 16);
        UNROLL for (size_t i = 0; i < count; i++)
          sum[p][i] = fma16(scale * splat(tile.scale[b * stride + i]),
                            __builtin_convertvector(dot[p][i], vf), sum[p][i]);
      }
    }
    if (has_minimum) {
      UNROLL for (size_t p = 0; p < panels; p++) {
        vf minimum = loadf(panel[p].minimum + b * 16);
        UNROLL for (size_t i = 0; i < count; i++)
          sum[p][i] = fma16(minimum, splat(tile.sum[b * stride + i]), sum[p][i]);
      }
    }
  }
  UNROLL for (size_t p = 0; p < panels; p++)
    UNROLL for (size_t i = 0; i < count; i++) storef(y + i * y_stride + 16 * p, sum[p][i]);
}

INLINE void panels_matmul_int16(int has_minimum, int parts, yk_expanded16 weights, size_t panels,
                                size_t columns, yk_tile16 tile, size_t stride, size_t count,
                                int resume, float *y, size_t y_stride) {
#define CALL(together, n)                                                                         \
  if (n <= YK_TILE_INT16)                                                                         \
  tile_matmul_int16(has_minimum, parts, yk_panel_of(weights, p), together, columns, tile, stride, \
                    n <= YK_TILE_INT16 ? n : 1, resume, y + 16 * p, y_stride)
  size_t p = 0;
#if YK_INT16_PANELS == 2
  for (; p + 2 <= panels; p += 2) {
#define BODY(n) CALL(2, n)
    switch (count) { COUNT_CASES(BODY) default: break; }
#undef BODY
  }
#endif
  for (; p < panels; p++) {
#define BODY(n) CALL(1, n)
    switch (count) { COUNT_CASES(BODY) default: break; }
#undef BODY
  }
#undef CALL
}

static void matmul_int16(yk_format format, yk_expanded16 weights, size_t panels, size_t columns,
                         yk_tile16 tile, size_t stride, size_t count, int resume, float *y,
                         size_t y_stride) {
#define CALL(minimum, parts)                                                                      \
  panels_matmul_int16(minimum, parts, weights, panels, columns, tile, stride, count, resume, y,   \
                      y_stride)
  if (format == YK_Q6_K) CALL(0, 2);
  else if (yk_has_minimum(format)) CALL(1, 1);
  else CALL(0, 1);
#undef CALL
}

INLINE void matvec_float_as(yk_format format, const uint8_t *panels, size_t count, size_t columns,
                            const float *x, float *y) {
  yk_panel_layout l = yk_panel_layout_of(format, columns);
  size_t p = 0;
  // One chain per row is the definition; a second panel hides the latency of the first.
  size_t element = format == YK_F32 ? 64 : 32;
  for (; p + 2 <= count; p += 2) {
    const uint8_t *base = panels + p * l.bytes;
    vf sum[2];
    UNROLL for (int i = 0; i < 2; i++) sum[i] = splat(0);
    for (size_t k = 0; k < columns; k += 2) {
      UNROLL for (size_t z = 0; z < 4 * element; z += 64)
        __builtin_prefetch(base + 4 * l.bytes + 2 * element * k + z, 0, 3);
      UNROLL for (size_t j = 0; j < 2; j++) {
        if (k + j == columns) break;
        vf xk = splat(x[k + j]);
        UNROLL for (size_t i = 0; i < 2; i++)
          sum[i] = fma16(load_element(format, base + i * l.bytes, k + j), xk, sum[i]);
      }
    }
    UNROLL for (size_t i = 0; i < 2; i++) storef(y + (p + i) * 16, sum[i]);
  }
  for (; p < count; p++) {
    vf sum = splat(0);
    for (size_t k = 0; k < columns; k++)
      sum = fma16(load_element(format, panels + p * l.bytes, k), splat(x[k]), sum);
    storef(y + p * 16, sum);
  }
}

INLINE void matvec_widened_as(yk_format format, const uint8_t *panels, size_t count,
                              size_t columns, const float *x, float *y) {
  yk_panel_layout l = yk_panel_layout_of(format, columns);
  vf offset = splat((float)yk_code_offset(format));
  for (size_t p = 0; p < count; p++) {
    const uint8_t *panel = panels + p * l.bytes;
    vf sum = splat(0);
    for (size_t b = 0; b < columns / YK_BLOCK; b++) {
      vf scale[2], minimum = splat(0), w[YK_BLOCK];
      scale[0] = scale[1] = block_scale(format, panel, &l, b, 0);
      if (format == YK_Q6_K) scale[1] = block_scale(format, panel, &l, b, 1);
      if (yk_has_minimum(format)) minimum = block_minimum(format, panel, &l, b);
#define WIDEN(k, integers)                                                                        \
  {                                                                                               \
    vf f_ = (__builtin_convertvector(integers, vf) - offset) * scale[(k) >= 16];                  \
    w[k] = yk_has_minimum(format) ? f_ + minimum : f_;                                            \
  }
#define STEP(s, pairs)                                                                            \
  {                                                                                               \
    vi pair_ = as_vi(pairs);                                                        \
    size_t k_ = yk_step_column((size_t)(s));                                                      \
    WIDEN(k_, pair_ << 16 >> 16)                                                                  \
    WIDEN(k_ + 2, pair_ >> 16)                                                                    \
  }
      FOR_STEPS(format, panel, l, b, STEP)
#undef STEP
#undef WIDEN
      UNROLL for (size_t k = 0; k < YK_BLOCK; k++) sum = fma16(w[k], splat(x[b * YK_BLOCK + k]), sum);
    }
    storef(y + p * 16, sum);
  }
}

static void matvec_float(yk_format format, const uint8_t *panels, size_t count, size_t columns,
                         const float *x, float *y) {
  switch (format) {
#define BODY(f) matvec_float_as(f, panels, count, columns, x, y)
    FOR_FLOAT_FORMATS(format, BODY)
#undef BODY
#define BODY(f) matvec_widened_as(f, panels, count, columns, x, y)
    FOR_BLOCK_FORMATS(format, BODY)
#undef BODY
    CODE4_CASES: matvec_code4(format, panels, count, columns, x, y); break;
  }
}

INLINE void matvec_int16_as(yk_format format, const uint8_t *panels, size_t count, size_t columns,
                            yk_tile16 x, float *y) {
  yk_panel_layout l = yk_panel_layout_of(format, columns);
  for (size_t p = 0; p < count; p++) {
    const uint8_t *panel = panels + p * l.bytes;
    vf sum = splat(0);
    // Each block fetches its share of what lies ahead: the end of this panel, then the next ones.
    size_t share = l.bytes / (columns / YK_BLOCK);
    for (size_t b = 0; b < columns / YK_BLOCK; b++) {
      const int32_t *xb = x.codes + b * YK_STEPS;
      // Integer sums are exact, so four accumulators may share a block in any order.
      vi dot[4];
      for (int i = 0; i < 4; i++) dot[i] = (vi)(0);
      dot[0] = (vi)(-yk_code_offset(format) * x.code_sum[b]);
      for (size_t z = 0; z < share; z += 64)
        __builtin_prefetch(panel + b * share + z + YK_PREFETCH, 0, 3);
#define STEP(s, w) dot[(s) & 3] = dot_pairs(dot[(s) & 3], w, (vi)(xb[s]));
      FOR_STEPS(format, panel, l, b, STEP)
#undef STEP
      vf xs = splat(x.scale[b]);
      if (format == YK_Q6_K) {
        // Odd steps hold columns 16...31.
        sum = fma16(block_scale(format, panel, &l, b, 0) * xs,
                    __builtin_convertvector(dot[0] + dot[2], vf), sum);
        sum = fma16(block_scale(format, panel, &l, b, 1) * xs,
                    __builtin_convertvector(dot[1] + dot[3], vf), sum);
      } else {
        sum = fma16(block_scale(format, panel, &l, b, 0) * xs,
                    __builtin_convertvector((dot[0] + dot[1]) + (dot[2] + dot[3]), vf), sum);
        if (yk_has_minimum(format))
          sum = fma16(block_minimum(format, panel, &l, b), splat(x.sum[b]), sum);
      }
    }
    storef(y + p * 16, sum);
  }
}

static void matvec_int16(yk_format format, const uint8_t *panels, size_t count, size_t columns,
                         yk_tile16 x, float *y) {
#define BODY(f) matvec_int16_as(f, panels, count, columns, x, y)
  switch (format) { FOR_BLOCK_FORMATS(format, BODY) default: break; }
#undef BODY
}
