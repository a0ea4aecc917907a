// Sixteen-lane vectors that the compiler maps to whatever registers a target has.

// Every function that takes or returns one is inlined, so the calling convention does not matter.
#pragma clang diagnostic ignored "-Wpsabi"

typedef float vf __attribute__((ext_vector_type(16)));
typedef float vf8 __attribute__((ext_vector_type(8)));
typedef float vf4 __attribute__((ext_vector_type(4)));
typedef int32_t vi __attribute__((ext_vector_type(16)));
typedef uint32_t vu __attribute__((ext_vector_type(16)));
typedef int16_t vs __attribute__((ext_vector_type(32)));
typedef _Float16 vh __attribute__((ext_vector_type(16)));
typedef uint16_t vus __attribute__((ext_vector_type(16)));
typedef uint8_t vub __attribute__((ext_vector_type(16)));
typedef int8_t vb __attribute__((ext_vector_type(16)));

// Casts between vectors of one size keep the bits.
#define as_vf(v) ((vf)(v))
#define as_vi(v) ((vi)(v))
#define as_vu(v) ((vu)(v))
#define as_vs(v) ((vs)(v))


