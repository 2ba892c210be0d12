// Who may do what with a diary entry, in the Ory Permission Language.
// The embedded permission backend has the same rules as constants, in
// src/diary_mcp/permissions/embedded_rules.py; a test holds them to this file. Agents are plain subject ids, never `Agent:NAME#`.
import { Context, Namespace, SubjectSet } from "@ory/keto-namespace-types"

class Agent implements Namespace {}

class Group implements Namespace {
  related: {
    manager: Agent[]
    member: (Agent | SubjectSet<Group, "member">)[]
  }
}

class Diary implements Namespace {
  related: {
    owner: Agent[]
    writer: (Agent | SubjectSet<Group, "member">)[]
    viewer: (Agent | SubjectSet<Group, "member">)[]
  }

  permits = {
    view: (ctx: Context): boolean =>
      this.related.owner.includes(ctx.subject) ||
      this.related.writer.includes(ctx.subject) ||
      this.related.viewer.includes(ctx.subject),
    write: (ctx: Context): boolean =>
      this.related.owner.includes(ctx.subject) ||
      this.related.writer.includes(ctx.subject),
  }
}

class DiaryEntry implements Namespace {
  related: {
    owner: Agent[]
    viewer: (Agent | SubjectSet<Group, "member">)[]
    parent: Diary[]
  }

  permits = {
    view: (ctx: Context): boolean =>
      this.related.owner.includes(ctx.subject) ||
      this.related.viewer.includes(ctx.subject) ||
      this.related.parent.traverse((diary) => diary.permits.view(ctx)),
    edit: (ctx: Context): boolean => this.related.owner.includes(ctx.subject),
    delete: (ctx: Context): boolean => this.related.owner.includes(ctx.subject),
    share: (ctx: Context): boolean => this.related.owner.includes(ctx.subject),
  }
}
