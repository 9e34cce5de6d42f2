//! The programs by which applications on a web framework do tasks from the command line. What they do happens in the database
//! that the application is given, unless the task serves.

use super::word::{Word, is_flag, program};

/// A program of a framework for tasks, and the tasks that serve. A task with `:` at its end is any that begins so.
struct Front {
    name: &'static str,
    serve: &'static [&'static str],
}

const FRONTS: [Front; 14] = [
    Front { name: "alembic", serve: &[] },
    Front { name: "artisan", serve: &["octane:", "reverb:", "serve"] },
    Front { name: "console", serve: &["server:"] },
    Front { name: "cron.php", serve: &[] },
    Front { name: "drush", serve: &["rs", "runserver"] },
    Front { name: "flask", serve: &["run"] },
    Front { name: "flyway", serve: &[] },
    Front { name: "liquibase", serve: &[] },
    Front { name: "manage.py", serve: &["runserver"] },
    Front { name: "occ", serve: &[] },
    Front { name: "prisma", serve: &["dev", "studio"] },
    Front { name: "rails", serve: &["s", "server"] },
    Front { name: "rake", serve: &[] },
    Front { name: "wp-cron.php", serve: &[] },
];

/// Programs that run a file.
pub(super) const INTERPRETERS: [&str; 6] = ["python", "python3", "perl", "ruby", "node", "php"];

/// What a command does by a framework's program.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// The task of this program, which does not serve.
    Of(&'static str),
    Serves,
}

/// What `manage.py migrate`, `php -f cron.php` and the like do; nothing where it is no such command.
pub(super) fn task_of(head: &Word<'_>, operands: &[Word<'_>]) -> Option<Task> {
    let runs_file = INTERPRETERS.contains(&program(&head.text));
    let (file, operands) = if runs_file {
        let at = operands.iter().take(8).position(|word| !is_flag(&word.text))?;
        (operands.get(at)?, operands.get(at + 1..)?)
    } else {
        (head, operands)
    };
    let name = program(&file.text);
    let front = FRONTS.iter().find(|front| front.name == name)?;
    // Symfony's is `bin/console`; by itself the word is any program's.
    if name == "console" && !file.text.ends_with("bin/console") {
        return None;
    }
    let task = operands.iter().take(8).find(|word| !is_flag(&word.text));
    let serves = task.is_some_and(|task| {
        // What a variable names may be any task.
        !task.known || front.serve.iter().any(|known| is_task(&task.text, known))
    });
    Some(if serves { Task::Serves } else { Task::Of(front.name) })
}

fn is_task(task: &str, known: &str) -> bool {
    if known.ends_with(':') { task.starts_with(known) } else { task == known }
}
