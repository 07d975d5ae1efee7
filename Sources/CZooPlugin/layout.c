#include "zoo_plugin.h"

/* The layout of ABI 1 on 64-bit machines: a change of it is a new ABI. */
#if UINTPTR_MAX == UINT64_MAX
_Static_assert(sizeof(struct zoo_tensor) == 144, "zoo_tensor");
_Static_assert(sizeof(struct zoo_mutable_tensor) == 144, "zoo_mutable_tensor");
_Static_assert(sizeof(struct zoo_problem) == 120, "zoo_problem");
_Static_assert(sizeof(struct zoo_inputs) == 480, "zoo_inputs");
_Static_assert(sizeof(struct zoo_outputs) == 160, "zoo_outputs");
_Static_assert(sizeof(struct zoo_output_gradient) == 312, "zoo_output_gradient");
_Static_assert(sizeof(struct zoo_gradients) == 464, "zoo_gradients");
_Static_assert(sizeof(struct zoo_host) == 40, "zoo_host");
_Static_assert(sizeof(struct zoo_operator) == 240, "zoo_operator");
_Static_assert(sizeof(struct zoo_plugin) == 40, "zoo_plugin");
#endif
