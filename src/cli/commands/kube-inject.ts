import { Command } from "commander";
import type { InjectionFiles } from "../inject-files.ts";

const examples = `
Examples:
  meltemi kube-inject -f deployment.yaml | kubectl apply -f -

  kubectl -n istio-system get cm istio-sidecar-injector -o jsonpath='{.data.config}' > inject-config.yaml
  kubectl -n istio-system get cm istio-sidecar-injector -o jsonpath='{.data.values}' > inject-values.json
  kubectl -n istio-system get cm istio -o jsonpath='{.data.mesh}' > mesh.yaml
  meltemi kube-inject -f deployment.yaml --injectConfigFile inject-config.yaml \\
    --valuesFile inject-values.json --meshConfigFile mesh.yaml -o injected.yaml

Documents that make no pods stay as they are written. Injecting a file twice changes nothing the second time.`;

export function createKubeInjectCommand(): Command {
  return new Command("kube-inject")
    .description("Add the sidecar to the pods, Deployments, Jobs and the like of a YAML file, without a webhook.")
    .requiredOption("-f, --filename <file>", "file to read, - for standard input")
    .option("-o, --output <file>", "file to write, - for standard output", "-")
    .option("--injectConfigFile <file>", "key config of the injector's ConfigMap (YAML)")
    .option("--valuesFile <file>", "key values of the injector's ConfigMap (JSON or YAML)")
    .option("--meshConfigFile <file>", "mesh configuration (YAML)")
    .option("-r, --revision <name>", "revision of the control plane", "")
    .option("-n, --namespace <name>", "namespace of objects that name none", "default")
    .option("--nativeSidecars", "make the sidecar an init container that keeps running (Kubernetes 1.33)", false)
    .addHelpText("after", examples)
    .action(async (options: InjectionFiles) => {
      const { injectFiles } = await import("../inject-files.ts");
      injectFiles(options);
    });
}
