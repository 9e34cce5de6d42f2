//! Manifests that are judged a portion at a time come to the same report as those that are all there at once, and take no
//! memory for texts that were judged.

use crate::growth::bench::counting::taken_by;
use crate::support::run::{TODAY, baseline_and, root};
use crate::support::victim::alone;
use std::path::Path;
use volgate::check::{Fault, Input, Report, Run, Stream, excuse_by_comments};
use volgate::report::{Format, Options, render};

const FORMATS: [Format; 7] = [
    Format::Human,
    Format::Json,
    Format::Sarif,
    Format::Junit,
    Format::Github,
    Format::Gitlab,
    Format::Markdown,
];

type Text = (String, String);

/// All YAML files beneath a folder of the repository.
fn files(folder: &Path, found: &mut Vec<Text>) {
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "yaml") {
            // What is no UTF-8 is a fixture of its own.
            if let Ok(text) = std::fs::read_to_string(&path) {
                found.push((path.display().to_string(), text));
            }
        }
    }
}

fn input((name, text): &Text) -> Input {
    Input::from_bytes(name, text.as_bytes(), name.contains("pod"))
}

/// The report of a run that gets so many texts at once.
fn in_portions(run: &Run<'_>, texts: &[Text], most: usize) -> (Report<'static>, Vec<Input>) {
    let mut stream = Stream::new(run, &[], true);
    for (at, portion) in texts.chunks(most).enumerate() {
        let portion = portion.iter().enumerate();
        let portion = portion.map(|(nth, text)| (input(text), at * most + nth)).collect();
        stream.add(portion, |_| false);
    }
    stream.finish(|index| Ok(input(&texts[*index])))
}

fn whole(run: &Run<'_>, texts: &[Text]) -> Vec<String> {
    let inputs: Vec<Input> = texts.iter().map(input).collect();
    let mut report = run.check(&inputs);
    excuse_by_comments(&mut report, &inputs, run.policies);
    FORMATS.map(|format| render(format, &report, &inputs, &Options::default())).into()
}

#[test]
fn a_portion_at_a_time_says_the_same_in_every_form() {
    let mut texts = Vec::new();
    for folder in ["tests/cli", "tests/fixtures", "policies/tests"] {
        files(&root(folder), &mut texts);
    }
    texts.extend((0..400).map(|index| (format!("many/{index}.yaml"), manifest(index))));
    assert!(texts.iter().map(|(_, text)| text.len()).sum::<usize>() > 200_000, "many portions");
    let set = baseline_and(&[]);
    let run = Run::new(&set, TODAY);
    let wanted = whole(&run, &texts);
    for most in [7, 200] {
        let (report, inputs) = in_portions(&run, &texts, most);
        for (format, wanted) in FORMATS.into_iter().zip(&wanted) {
            let said = render(format, &report, &inputs, &Options::default());
            let differs = said.lines().zip(wanted.lines()).find(|(said, wanted)| said != wanted);
            assert!(said == *wanted, "{format:?}: {differs:#?}");
        }
    }
}

#[test]
fn a_text_that_changed_is_a_fault_and_the_others_are_judged() {
    let texts: Vec<Text> = (0..60).map(|index| (format!("{index}.yaml"), manifest(index))).collect();
    let set = baseline_and(&[]);
    let run = Run::new(&set, TODAY);
    let mut stream = Stream::new(&run, &[], true);
    // The claim of 41 comes after it, in another portion.
    for portion in [0..42, 42..60] {
        stream.add(portion.map(|index| (input(&texts[index]), index)).collect(), |_| false);
    }
    let (report, _) = stream.finish(|index| {
        let fault = Fault { spot: None, message: format!("{index} changed"), help: None };
        if *index == 40 || *index == 41 { Err(fault) } else { Ok(input(&texts[*index])) }
    });
    let faults: Vec<&str> = report.faults.iter().map(|fault| fault.message.as_str()).collect();
    // The other of the two needs no other object, and is not read again.
    assert_eq!(faults, ["41 changed"]);
    let (all, _) = in_portions(&run, &texts, 1_000);
    assert_eq!(report.judged + 1, all.judged);
}

#[test]
fn what_was_judged_takes_no_memory() {
    alone("portions::texts_alone");
}

/// In a process of its own, since it counts what the whole process takes.
#[test]
#[ignore = "the test above runs it, in a process of its own"]
fn texts_alone() {
    let set = baseline_and(&[]);
    let run = Run::new(&set, TODAY);
    for nth in 0..4 {
        let held = |count: usize| {
            let made = |index: usize| (format!("folder/{index}.yaml"), manifest(index * 4 + nth));
            let (objects, taken) = taken_by(|| judged_one_by_one(&run, count, &made));
            assert!(objects == count || objects == 0);
            taken.most
        };
        held(64);
        let (few, many) = (held(1_000), held(5_000));
        let each = many.saturating_sub(few) / 4_000;
        println!("kind {nth}: {each} bytes for each object more ({few} for 1000)");
        // Of a claim the patch is kept as well, with the class that it is given.
        let most = if nth == 2 { 12_000 } else { 5_000 };
        assert!(each < most, "{each} bytes for each object of kind {nth}");
    }
}

/// How many objects were judged of so many texts, of which only some are there at a time.
fn judged_one_by_one(run: &Run<'_>, count: usize, made: &(dyn Fn(usize) -> Text + Sync)) -> usize {
    let mut stream = Stream::new(run, &[], true);
    let all: Vec<usize> = (0..count).collect();
    for portion in all.chunks(250) {
        let portion = portion.iter().map(|index| (input(&made(*index)), *index)).collect();
        stream.add(portion, |_| false);
    }
    stream.finish(|index| Ok(input(&made(*index)))).0.judged
}

/// A mix as a repository has it: what needs no other object, what looks for its claim, claims, and what is not judged.
fn manifest(index: usize) -> String {
    let deployment = |image: &str, volume: &str| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: app-{index}\n  labels: {{app: app-{index}}}\nspec:\n  \
             selector:\n    matchLabels: {{app: app-{index}}}\n  template:\n    metadata:\n      labels: {{app: app-{index}}}\n    \
             spec:\n      containers:\n      - name: main\n        image: {image}\n        env:\n        - {{name: LOG_LEVEL, value: info}}\n        \
             ports:\n        - containerPort: 8080\n        volumeMounts:\n        - {{name: data, mountPath: /data}}\n      \
             volumes:\n      - name: data\n        {volume}\n{}",
            "# A line that says why, as people write them.\n".repeat(12)
        )
    };
    match index % 4 {
        0 => deployment("registry.example/team/api:1.4", "emptyDir: {}"),
        1 => deployment("redis:7", &format!("persistentVolumeClaim: {{claimName: claim-{}}}", index + 1)),
        2 => format!(
            "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata:\n  name: claim-{index}\nspec:\n  \
             accessModes: [ReadWriteOnce]\n  resources:\n    requests:\n      storage: 10Gi\n"
        ),
        _ => format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: config-{index}\ndata:\n  settings: |\n    port=8080\n"
        ),
    }
}
