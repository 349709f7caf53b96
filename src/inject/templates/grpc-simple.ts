/** The template `grpc-simple`: no agent at all, only a bootstrap that leads gRPC to the control plane without TLS. */
import type { PlainObject } from "../../api/plain-value.ts";
import { annotation } from "../annotation-names.ts";
import { nameOf } from "../pod-fields.ts";
import { variable } from "./proxy-arguments.ts";
import type { TemplateData } from "./template-data.ts";

const directory = "/var/lib/grpc/data/";
const volume = "grpc-io-proxyless-bootstrap";
const volumeMounts: readonly PlainObject[] = [{ mountPath: directory, name: volume }];

export function buildGrpcSimpleOverlay({ containers, values }: TemplateData): PlainObject {
  return {
    metadata: { annotations: { [annotation.rewriteProbes]: "false" } },
    spec: {
      initContainers: [
        {
          name: "grpc-bootstrap-init",
          image: "busybox:1.28",
          volumeMounts,
          env: [
            fromField("INSTANCE_IP", "status.podIP"),
            fromField("POD_NAME", "metadata.name"),
            fromField("POD_NAMESPACE", "metadata.namespace"),
            variable("ISTIO_NAMESPACE", values.istioNamespace),
          ],
          command: ["sh", "-c", script],
        },
      ],
      containers: containers.map((item) => ({
        name: nameOf(item),
        env: [
          variable("GRPC_XDS_BOOTSTRAP", `${directory}bootstrap.json`),
          variable("GRPC_GO_LOG_VERBOSITY_LEVEL", "99"),
          variable("GRPC_GO_LOG_SEVERITY_LEVEL", "info"),
        ],
        volumeMounts,
      })),
      volumes: [{ name: volume, emptyDir: {} }],
    },
  };
}

const fromField = (name: string, fieldPath: string): PlainObject => ({ name, valueFrom: { fieldRef: { fieldPath } } });

const bootstrap = JSON.stringify({
  xds_servers: [
    {
      server_uri: "dns:///istiod.@ISTIO_NAMESPACE@.svc:15010",
      channel_creds: [{ type: "insecure" }],
      server_features: ["xds_v3"],
    },
  ],
  node: {
    id: "sidecar~@INSTANCE_IP@~@POD_NAME@.@POD_NAMESPACE@~cluster.local",
    metadata: { GENERATOR: "grpc" },
  },
});

/** Variables are put in by the shell when the pod starts; none of them can hold a quote, being names and addresses. */
const script = `cat > ${directory}bootstrap.json <<END
${bootstrap.replaceAll(/@(\w+)@/g, `\${$1}`)}
END
`;
