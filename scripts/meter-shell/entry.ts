/** What the server uses of just-bash. */
export { Bash, defineCommand, getCommandNames, InMemoryFs, MountableFs } from "just-bash/browser";
