//! A status as the Kubernetes object that `kubectl` knows.

use jiff::Timestamp;
use k8s_openapi::api::core::v1;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::{
    Condition, ContainerState, ContainerStatus, Pod, PodPhase, PodStatus, Terminated, Uptime,
    qos_class,
};

/// The v1 status of a pod; `date` turns times since the supervisor's start into dates.
pub fn to_v1(
    status: &PodStatus,
    pod: &Pod,
    host_ip: Option<&str>,
    date: &dyn Fn(Uptime) -> Timestamp,
) -> v1::PodStatus {
    let containers = |list: &[ContainerStatus]| {
        let list: Vec<v1::ContainerStatus> = list.iter().map(|one| container(one, date)).collect();
        (!list.is_empty()).then_some(list)
    };
    let pod_ips: Vec<v1::PodIP> =
        status.pod_ips.iter().map(|ip| v1::PodIP { ip: ip.to_string() }).collect();
    v1::PodStatus {
        phase: Some(phase(status.phase).into()),
        reason: status.reason.clone(),
        message: status.message.clone(),
        start_time: status.started.map(|at| time(date(at))),
        host_ip: host_ip.map(str::to_owned),
        host_ips: host_ip.map(|ip| vec![v1::HostIP { ip: ip.to_owned() }]),
        pod_ip: pod_ips.first().map(|ip| ip.ip.clone()),
        pod_ips: (!pod_ips.is_empty()).then_some(pod_ips),
        conditions: Some(status.conditions.iter().map(|one| condition(one, date)).collect()),
        init_container_statuses: containers(&status.init_containers),
        container_statuses: containers(&status.containers),
        qos_class: Some(qos_class(&pod.object).to_string()),
        ..v1::PodStatus::default()
    }
}

fn phase(phase: PodPhase) -> &'static str {
    match phase {
        PodPhase::Pending => "Pending",
        PodPhase::Running => "Running",
        PodPhase::Succeeded => "Succeeded",
        PodPhase::Failed => "Failed",
    }
}

/// Kubernetes keeps these dates to the second.
fn time(date: Timestamp) -> Time {
    Time(Timestamp::from_second(date.as_second()).unwrap_or(date))
}

fn condition(condition: &Condition, date: &dyn Fn(Uptime) -> Timestamp) -> v1::PodCondition {
    v1::PodCondition {
        type_: condition.kind.clone(),
        status: if condition.is_true { "True" } else { "False" }.into(),
        reason: condition.reason.clone(),
        message: condition.message.clone(),
        last_transition_time: Some(time(date(condition.since))),
        ..v1::PodCondition::default()
    }
}

fn container(status: &ContainerStatus, date: &dyn Fn(Uptime) -> Timestamp) -> v1::ContainerStatus {
    let state = match &status.state {
        ContainerState::Waiting { reason, message } => v1::ContainerState {
            waiting: Some(v1::ContainerStateWaiting {
                reason: Some(reason.clone()),
                message: message.clone(),
            }),
            ..v1::ContainerState::default()
        },
        ContainerState::Running { since } => v1::ContainerState {
            running: Some(v1::ContainerStateRunning { started_at: Some(time(date(*since))) }),
            ..v1::ContainerState::default()
        },
        ContainerState::Terminated(end) => terminated(end, date),
    };
    v1::ContainerStatus {
        name: status.name.to_string(),
        image: status.image.clone(),
        image_id: status.image_id.clone(),
        container_id: Some(status.container_id.clone()).filter(|id| !id.is_empty()),
        state: Some(state),
        last_state: Some(
            status.last_state.as_ref().map_or_else(Default::default, |end| terminated(end, date)),
        ),
        restart_count: i32::try_from(status.restart_count).unwrap_or(i32::MAX),
        ready: status.ready,
        started: Some(status.started),
        ..v1::ContainerStatus::default()
    }
}

fn terminated(end: &Terminated, date: &dyn Fn(Uptime) -> Timestamp) -> v1::ContainerState {
    v1::ContainerState {
        terminated: Some(v1::ContainerStateTerminated {
            exit_code: end.exit_code,
            signal: None,
            reason: Some(end.reason.clone()),
            message: end.message.clone(),
            started_at: Some(time(end.started.map_or(Timestamp::UNIX_EPOCH, date))),
            finished_at: Some(time(date(end.finished))),
            container_id: Some(end.container_id.clone()).filter(|id| !id.is_empty()),
        }),
        ..v1::ContainerState::default()
    }
}
