/** Settings of injection in files, for control planes that no ConfigMap of their own cluster speaks to. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { watchDirectories } from "../ca/directory-watch.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { ObjectRef } from "../lib/message.ts";
import type { InjectionSettings } from "../webhook/injection-settings.ts";

export interface InjectionFilesOptions {
  readonly directory: string;
  readonly settings: InjectionSettings;
  readonly clock: Clock;
  readonly log: Log;
}

/** Watching can miss changes (network file systems): the files are read now and then in any case. */
const rescanMs = 60_000;

/**
 * Reads the files `config` and `values` of a directory, and again whenever they change. Undefined where there is no
 * `config`: then the ConfigMap counts, as in istiod. The answer ends it.
 */
export async function openInjectionFiles(options: InjectionFilesOptions): Promise<(() => void) | undefined> {
  const { directory, clock, log } = options;
  if (!(await readInto(options))) return undefined;
  let timer: Timer | undefined;
  let isStopped = false;
  const reload = (): void => {
    timer?.close();
    readInto(options).then(
      (isThere) => {
        if (!isThere) options.settings.noteMissing(fileRef(directory));
        if (!isStopped) timer = clock.after(rescanMs, reload);
      },
      (error: unknown) => log.error("the settings of injection cannot be read", { directory, error }),
    );
  };
  const endWatch = watchDirectories([directory], { clock, log, onSettled: reload });
  timer = clock.after(rescanMs, reload);
  return () => {
    isStopped = true;
    timer?.close();
    endWatch();
  };
}

/** False where there is no file `config`; files that cannot be read otherwise leave the settings as they were. */
async function readInto({ directory, settings, log }: InjectionFilesOptions): Promise<boolean> {
  const origin = fileRef(directory);
  try {
    const [config, values] = await Promise.all(["config", "values"].map((name) => readText(join(directory, name))));
    if (config === undefined) return false;
    settings.update({ origin, config, values: values ?? "" });
  } catch (error: unknown) {
    log.error("the settings of injection cannot be read", { directory, error });
  }
  return true;
}

const fileRef = (directory: string): ObjectRef => ({ kind: "file", namespace: "", name: join(directory, "config") });

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (cause: unknown) {
    const code = cause instanceof Error && "code" in cause ? cause.code : "";
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw cause;
  }
}
