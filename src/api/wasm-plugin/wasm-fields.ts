/** What a module of WebAssembly is and how it runs: WasmPlugin and TrafficExtension share it. */
import { freeForm, int32, list, oneOf, optional, record, text, uint32 } from "../schema-fields.ts";

/** Fields of a WasmPlugin, and of `wasm` in a TrafficExtension. */
export const wasmFields = {
  url: text("Where the module is: oci:// (the default), http://, https:// or file://."),
  sha256: optional(text("Checksum of the module or image: 64 digits, a to f in small letters.")),
  imagePullPolicy: optional(
    oneOf(["UNSPECIFIED_POLICY", "IfNotPresent", "Always"], "When the module is fetched again."),
  ),
  imagePullSecret: optional(text("Secret with credentials for the registry, in the object's namespace.")),
  verificationKey: optional(text("Key to check signatures by. Not used.")),
  pluginConfig: optional(freeForm("Configuration that the module gets.")),
  pluginName: optional(text("Name that the module knows the plugin by.")),
  failStrategy: optional(
    oneOf(["FAIL_CLOSE", "FAIL_OPEN", "FAIL_RELOAD"], "What happens to requests when the module fails."),
  ),
  vmConfig: optional(
    record(
      {
        env: optional(
          list(
            record(
              {
                name: optional(text("Name of the variable.")),
                value: optional(text("Value of the variable, for INLINE.")),
                valueFrom: optional(oneOf(["INLINE", "HOST"], "Where the value is from: value, or the proxy itself.")),
              },
              "One variable.",
            ),
            "Environment variables of the machine.",
          ),
        ),
      },
      "The virtual machine that runs the module.",
    ),
  ),
  type: optional(oneOf(["UNSPECIFIED_PLUGIN_TYPE", "HTTP", "NETWORK"], "Whether it sees requests or connections.")),
};

export const priorityField = optional(int32("Place among those of the same phase: higher ones first, 0 by default."));

export const trafficMatchField = optional(
  list(
    record(
      {
        mode: optional(
          oneOf(
            ["UNDEFINED", "CLIENT", "SERVER", "CLIENT_AND_SERVER"],
            "Whether the workload makes the requests (CLIENT), answers them (SERVER) or both.",
          ),
        ),
        ports: optional(
          list(record({ number: optional(uint32("Number of the port.")) }, "A port."), "Ports; all where not given."),
        ),
      },
      "Some of the traffic.",
    ),
    "Traffic that it sees, any of these; all where not given.",
  ),
);
