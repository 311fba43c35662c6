"""Workflow files: YAML or JSON in, a Flow like any other out.

    text --yaml_tree / json_tree--> Tree --structure--> Workflow --check--> --compile--> Flow

    mistakes    what is wrong in a file, with line, column and remedy
    tree        a document as data that knows where it stands
    model       what a file says: Workflow, TaskSpec, Settings, Param
    load        a path to a Workflow, or all its mistakes at once
    write       a Workflow to YAML and to JSON
    schema      the JSON Schema of the model, for editors
    compile     a Workflow to a Flow
    convert     a Workflow to a Python script
    plan        what would run, and what side by side

A file has no engine of its own: what it says becomes calls of tasks.
"""
