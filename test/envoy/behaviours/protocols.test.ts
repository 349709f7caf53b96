import { describeBehaviours } from "./runner.ts";

describeBehaviours("protocols");
