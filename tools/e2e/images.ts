/**
 * The images of the node, made without Docker and without a registry: what the Dockerfiles copy is copied, and what comes
 * from elsewhere there (Node, Envoy, Debian packages) is taken from this checkout and this machine.
 */
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { envoyBinary } from "../envoy/fetch.ts";
import {
  createContextFilter,
  type Instruction,
  parseCommand,
  parseDockerfile,
  parseEnvironment,
} from "./dockerfile.ts";
import { createLayer, type Image, type ImageConfig, writeImageArchive } from "./image-archive.ts";
import { bookinfoImage, controlPlaneImage, corednsImage, pauseImage, proxyImage, toolboxImage } from "./image-names.ts";
import { imageFolder, root } from "./layout.ts";
import { copyFromMachine, copyProgram, writeRootFiles, writeShell } from "./machine-files.ts";
import type { NodePrograms } from "./node-programs.ts";
import { findProgram } from "./prerequisites.ts";
import { runProgram } from "./run-program.ts";
import { copyRunningPackages } from "./running-packages.ts";

/** What an image begins with. */
type Base = Pick<Image, "layers" | "config">;

/** Builds all images into one archive and gives its path. */
export async function buildImages(programs: NodePrograms): Promise<string> {
  rmSync(imageFolder, { recursive: true, force: true });
  const work = createLayer(imageFolder, "layers");
  const runtime = await buildRuntime(work);
  const build = (name: string, dockerfile: string, bases: Bases): Promise<Image> =>
    buildImage({ name, dockerfile, bases, layer: createLayer(work, basename(name)) });
  const node = new Map([[/nodejs/, runtime]]);
  const controlPlane = await build(controlPlaneImage, "Dockerfile", node);
  const images = [
    controlPlane,
    await build(proxyImage, "Dockerfile.proxy", new Map([[/^meltemi:/, controlPlane], ...node])),
    await build(bookinfoImage, "manifests/samples/bookinfo-kubernetes/Dockerfile", node),
    await buildToolbox(work, runtime),
    await buildSingle(work, { name: pauseImage, program: programs.pause }),
    await buildSingle(work, { name: corednsImage, program: programs.coredns }),
  ];
  const archive = join(imageFolder, "images.tar");
  await writeImageArchive(archive, images);
  rmSync(work, { recursive: true });
  return archive;
}

/** What stands in for the distroless Node image: Node, its libraries, users, certificates; no shell. */
async function buildRuntime(work: string): Promise<Base> {
  const layer = createLayer(work, "runtime");
  writeRootFiles(layer);
  await copyProgram(layer, process.execPath, "nodejs/bin/node");
  const certificates = "/etc/ssl/certs/ca-certificates.crt";
  if (existsSync(certificates)) await copyFromMachine(layer, certificates, certificates);
  return { layers: [layer], config: { Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"] } };
}

/** A shell and Node, for what tests do inside of pods. */
async function buildToolbox(work: string, runtime: Base): Promise<Image> {
  const layer = createLayer(work, "toolbox");
  await writeShell(layer, findProgram("busybox") ?? "busybox");
  symlinkSync("/nodejs/bin/node", join(layer, "bin/node"));
  const config = { ...runtime.config, Cmd: ["sleep", "infinity"] };
  return { name: toolboxImage, layers: [...runtime.layers, layer], config };
}

/** A program that needs nothing beside it. */
async function buildSingle(work: string, { name, program }: { name: string; program: string }): Promise<Image> {
  const layer = createLayer(work, basename(name));
  writeRootFiles(layer);
  await copyProgram(layer, program, basename(program));
  return { name, layers: [layer], config: { Entrypoint: [`/${basename(program)}`] } };
}

type Bases = ReadonlyMap<RegExp, Base>;

interface Recipe {
  readonly name: string;
  readonly dockerfile: string;
  readonly bases: Bases;
  readonly layer: string;
}

/** Carries out the last stage of a Dockerfile. Rejects where it does what has no counterpart here. */
async function buildImage({ name, dockerfile, bases, layer }: Recipe): Promise<Image> {
  const stages = parseDockerfile(readFileSync(join(root, dockerfile), "utf8"));
  const last = stages.at(-1);
  const base = [...bases].find(([pattern]) => pattern.test(last?.image ?? ""))?.[1];
  if (last === undefined || base === undefined)
    throw new Error(`${dockerfile} begins with ${last?.image}: unknown here`);
  const stageImages = new Map(stages.map((stage) => [stage.name, stage.image]));
  let config: ImageConfig = base.config;
  for (const instruction of last.instructions) {
    config = configure(config, instruction);
    if (instruction.name === "COPY") await copy(instruction, { layer, config, stageImages });
    if (instruction.name === "RUN")
      throw new Error(`${dockerfile} runs programs in its last stage: ${instruction.words.join(" ")}`);
  }
  return { name, layers: [...base.layers, layer], config };
}

function configure(config: ImageConfig, instruction: Instruction): ImageConfig {
  const [first = ""] = instruction.words;
  switch (instruction.name) {
    case "ENTRYPOINT":
      // As Docker does: arguments of the base's program are none of this one's.
      return { ...config, Entrypoint: parseCommand(instruction), Cmd: [] };
    case "CMD":
      return { ...config, Cmd: parseCommand(instruction) };
    case "ENV":
      return { ...config, Env: [...(config.Env ?? []), ...parseEnvironment(instruction)] };
    case "USER":
      return { ...config, User: first };
    case "WORKDIR":
      return { ...config, WorkingDir: first };
    default:
      return config;
  }
}

interface CopyPlace {
  readonly layer: string;
  readonly config: ImageConfig;
  readonly stageImages: ReadonlyMap<string, string>;
}

const isInContext = createContextFilter();

async function copy({ words }: Instruction, { layer, config, stageImages }: CopyPlace): Promise<void> {
  const sources = words.filter((word) => !word.startsWith("--")).slice(0, -1);
  const target = words.at(-1) ?? "";
  const stage = words.find((word) => word.startsWith("--from="))?.replace("--from=", "");
  const place = target.startsWith("/") ? target : join(config.WorkingDir ?? "/", target);
  for (const source of sources) {
    const inFolder = target.endsWith("/") || sources.length > 1;
    if (stage !== undefined) {
      const path = inFolder ? join(place, basename(source)) : place;
      await copyFromStage(stageImages.get(stage) ?? stage, source, { layer, path });
      continue;
    }
    const path = join(root, source);
    const destination = join(layer, inFolder && statSync(path).isFile() ? join(place, basename(source)) : place);
    mkdirSync(dirname(destination), { recursive: true });
    cpSync(path, destination, { recursive: true, filter: (file) => isInContext(file.slice(root.length)) });
  }
}

/** What the stages before the last one make, and what other images bring. */
async function copyFromStage(
  image: string,
  source: string,
  { layer, path }: { readonly layer: string; readonly path: string },
): Promise<void> {
  if (source === "/app/node_modules") return copyRunningPackages(join(layer, path));
  if (source === "/app/packages/protos/gen")
    return cpSync(join(root, "packages/protos/gen"), join(layer, path), { recursive: true });
  if (source === "/image" && image.startsWith("debian:"))
    return void (await runProgram("sh", [join(root, "manifests/docker/collect-iptables.sh"), layer]));
  if (image.startsWith("envoyproxy/")) return copyProgram(layer, await envoyBinary(), path);
  throw new Error(`an image takes ${source} from ${image}: what that is cannot be said here`);
}
