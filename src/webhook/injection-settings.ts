import { type InjectionConfig, parseInjectionConfig } from "../inject/injection-config.ts";
import type { Log } from "../lib/log.ts";
import { formatMessage, formatObjectRef, type Message, type ObjectRef } from "../lib/message.ts";

/** The settings of injection as they were read last: the two texts, and who holds them. */
export interface InjectionSettingsText {
  readonly origin: ObjectRef;
  readonly config: string;
  readonly values: string;
}

export interface InjectionSettingsOptions {
  readonly log: Log;
  /** Counts settings that cannot be used. */
  readonly onRejected: (origin: ObjectRef) => void;
}

/** What pods are injected with. Settings that cannot be used leave those of before; so does their loss. */
export interface InjectionSettings {
  /** Undefined until settings were read that can be used. */
  readonly current: InjectionConfig | undefined;
  /** Why there are none, for whoever asks meanwhile. */
  readonly obstacle: string;
  /** Settings that were read; the same ones again cost nothing. */
  update(text: InjectionSettingsText): void;
  /** There are none where they should be. */
  noteMissing(origin: ObjectRef): void;
}

/** Most messages of one reading that are logged. */
const mostLogged = 20;

export function createInjectionSettings({ log, onRejected }: InjectionSettingsOptions): InjectionSettings {
  let current: InjectionConfig | undefined;
  let obstacle = "the settings of injection are not read yet";
  let last: InjectionSettingsText | undefined;
  let isMissing = false;
  const tell = (messages: readonly Message[]): void => {
    for (const message of messages.slice(0, mostLogged))
      log[message.level === "error" ? "error" : "warn"]("about the settings of injection", {
        message: formatMessage(message),
      });
  };
  return {
    get current() {
      return current;
    },
    get obstacle() {
      return obstacle;
    },
    update(text) {
      isMissing = false;
      if (last !== undefined && last.config === text.config && last.values === text.values) return;
      last = text;
      const { config, messages } = parseInjectionConfig(text, text.origin);
      tell(messages);
      const name = formatObjectRef(text.origin);
      if (config === undefined) {
        onRejected(text.origin);
        const first = messages.find(({ level }) => level === "error");
        obstacle = `the settings of injection cannot be used: ${first === undefined ? name : formatMessage(first)}`;
        log.error("the settings of injection cannot be used; the last good ones stay", { origin: name });
        return;
      }
      current = config;
      log.info("read the settings of injection", { origin: name, policy: config.policy });
    },
    noteMissing(origin) {
      if (isMissing) return;
      isMissing = true;
      const name = formatObjectRef(origin);
      if (current === undefined) obstacle = `the settings of injection are missing: ${name}`;
      else log.warn("the settings of injection are gone; the last ones stay", { origin: name });
    },
  };
}
