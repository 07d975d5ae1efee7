/// The source of a plugin that does nothing, with parts to replace by mistakes.
struct SmallPlugin {
    var id = "small"
    var body = "return 0;"
    /// Further fields of the operator; the last value of a field counts.
    var fields = ""
    /// What the operator declares when `fields` name its `parameters`.
    var parameters = "add(context, \"gain\", 2, shape, ZOO_INITIAL_ONES, 0, \"a factor for each head\");"
    var operators = "&small"
    var count = "1"
    var version = "ZOO_PLUGIN_ABI_VERSION"
    var pluginSize = "sizeof(struct zoo_plugin)"
    var entry = "return &plugin;"
    var entryName = "zoo_plugin_entry"

    var source: String {
        """
        #include "zoo_plugin.h"
        #include <stdlib.h>
        #include <string.h>

        static int32_t forward(const void *state, const struct zoo_host *host, const struct zoo_problem *problem,
                               const struct zoo_inputs *inputs, const struct zoo_outputs *outputs) {
            \(body)
        }

        static int32_t backward(const void *state, const struct zoo_host *host, const struct zoo_problem *problem,
                                const struct zoo_inputs *inputs, const struct zoo_output_gradient *gradient,
                                const struct zoo_gradients *gradients) {
            if (gradients->parameter_count) {
                ((float *)gradients->parameters[0].data)[5] = ((const float *)gradient->output.data)[1];
                return 0;
            }
            ((float *)gradients->key.data)[-1] = 1;
            return 0;
        }

        static int32_t create(const struct zoo_host *host, const char *configuration, void **state) {
            if (strstr(configuration, "\\"speed\\": 9")) {
                host->fail(host, "speed 9 is too fast");
                return 3;
            }
            *state = strdup(configuration);
            return 0;
        }

        static void reasons(const void *state, const struct zoo_problem *problem, zoo_add_reason add, void *context) {
            if (problem->query_length % 2) add(context, "the number of queries is odd", "add a query");
        }

        static int32_t allows(const void *state, const struct zoo_problem *problem, int64_t batch, int64_t head,
                              int64_t query, int64_t key) {
            return (query + key + head) % 2 == 0 && key < problem->key_lengths[batch];
        }

        static void parameters(const void *state, const struct zoo_problem *problem, zoo_add_parameter add,
                               void *context) {
            const int64_t shape[] = {problem->heads, 3};
            \(parameters)
        }

        static const struct zoo_option speed[] = {{"speed", "how fast, from 1 to 8", "1"}};

        static const struct zoo_operator small = {
            .struct_size = sizeof(struct zoo_operator), .id = "\(id)", .family = "exact", .title = "Small",
            .summary = "Does nothing.", .paper = "none", .status = "experimental", .dtypes = ZOO_F32,
            .minimum_head_dim = 1, .maximum_head_dim = 64, .features = ZOO_FEATURE_LOG_SUM_EXP,
            .working_memory = "O(1)", .arithmetic = "O(1)", .forward = forward, \(fields)
        };

        static const struct zoo_operator *const operators[] = {\(operators)};

        static const struct zoo_plugin plugin = {
            .abi_version = \(version), .struct_size = \(pluginSize), .name = "small", .version = "1.0",
            .operators = operators, .operator_count = \(count),
        };

        const struct zoo_plugin *\(entryName)(uint32_t host_abi_version) { \(entry) }
        """
    }
}
